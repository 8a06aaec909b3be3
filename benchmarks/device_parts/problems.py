"""The three problems that are timed, each made when it is first asked for."""

from __future__ import annotations

from time import perf_counter

import surface_data

from device_parts import large_data
from l0.calibration import CalibrationProblem
from l0.datasets import load_cps

#: Number of records to keep, at full size.
KEEP = {"CPS": 5_545, "surface": 57_240, "large": 60.000}
#: Seconds that making each takes on one core, roughly; on a quick run none takes more than two.
TO_MAKE = {"CPS": 4.0, "surface": 15.0, "large": 60.0}
SURFACE_RECORDS = 337_704
QUICK_SURFACE_RECORDS = 4_000
QUICK_LARGE = large_data.Shape(5_000, areas=10, states=5, per_area=12, per_state=20, national=40)


class Problems:
    """Make problems once, at full size or at a tiny one.

    Parameters
    ----------
    quick : bool
        The CPS is the same either way.
    """

    def __init__(self, quick: bool) -> None:
        self._quick = quick
        self._made: dict[str, CalibrationProblem] = {}
        #: Seconds that each took.
        self.seconds: dict[str, float] = {}

    def needs(self, name: str) -> float:
        """Seconds that making one takes, roughly; 0 where it is there."""
        if name in self._made:
            return 0.0
        return 2.0 if self._quick else TO_MAKE[name]

    def keep(self, name: str) -> int:
        """Give the number of records to keep."""
        if self._quick and name != "CPS":
            return self.get(name).n_records // 5
        return KEEP[name]

    def get(self, name: str) -> CalibrationProblem:
        """Give a problem by name."""
        if name not in self._made:
            started = perf_counter()
            self._made[name] = self._make(name)
            self.seconds[name] = perf_counter() - started
        return self._made[name]

    def _make(self, name: str) -> CalibrationProblem:
        if name == "CPS":
            tax_units, persons, targets = load_cps()
            return CalibrationProblem.from_frames(
                tax_units, targets, key="tax_unit_id", weight="weight", members={"person": persons}
            )
        if name == "surface":
            records = QUICK_SURFACE_RECORDS if self._quick else SURFACE_RECORDS
            return CalibrationProblem.from_matrix(*surface_data.make(records, 0))
        shape = QUICK_LARGE if self._quick else large_data.Shape()
        return CalibrationProblem.from_matrix(*large_data.make(shape))
