"""Survey calibration: from records and published totals to exactly k weighted records."""

from l0.calibration.calibrate import calibrate
from l0.calibration.fitting.history import Progress
from l0.calibration.frontier import Frontier, frontier
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import (
    SELECTORS,
    HardConcreteGates,
    Hybrid,
    Path,
    Pps,
    Random,
    Selector,
)
from l0.gated_linear.sparse_weights import SparseCalibrationWeights

__all__ = [
    "SELECTORS",
    "CalibrationProblem",
    "CalibrationResult",
    "Frontier",
    "HardConcreteGates",
    "Hybrid",
    "Path",
    "Pps",
    "Progress",
    "Random",
    "Selector",
    "SparseCalibrationWeights",
    "calibrate",
    "frontier",
]
