"""Calibration on a small problem: every selector, bounds, losses, the frontier and frames."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch

import l0
from device_parts.compare import (
    HALVES,
    Check,
    default_device,
    global_generators_untouched,
    near,
)
from l0.calibration import SELECTORS, CalibrationProblem, CalibrationResult

N, M, KEEP, EPOCHS = 300, 20, 80, 60
#: Gates drawn otherwise come to one loss only after more epochs.
EPOCHS_OF = {"hard_concrete": 100}
#: The loss may differ by so much from the CPU's, as a share of the targets: other roundings choose
#: other records, and the gates of `hard_concrete` are drawn by a generator of the device. Other
#: seeds move it by a tenth of that.
NEAR = 0.01
BOUNDS = (0.2, 8.0)


@cache
def problem() -> CalibrationProblem:
    """Totals that a known weighting of few records hits."""
    generator = np.random.default_rng(0)
    matrix = sp.random_array((M, N), density=0.2, rng=generator, format="csr")
    weights = generator.uniform(50, 150, N)
    truth = weights * generator.lognormal(0, 0.3, N)
    return CalibrationProblem.from_matrix(matrix, matrix @ truth, weights)


def _fresh(device: torch.device | str | None, **options: Any) -> CalibrationResult:
    epochs = EPOCHS_OF.get(options.get("method", ""), EPOCHS)
    options = {"n_records": KEEP, "epochs": epochs, **options}
    return problem().solve(device=device, **options)


#: The CPU is compared with more than once.
_solve = cache(_fresh)


def _compare(device: torch.device, **options: Any) -> str:
    """Solve on the device and on the CPU: as many records, positive weights, about one loss."""
    with global_generators_untouched():
        found = _solve(device, **options)
    expected = _solve(torch.device("cpu"), **options)
    wanted = options.get("n_records", KEEP) or N
    assert len(found.values) == wanted, f"{len(found.values)} records instead of {wanted}"
    assert len(np.unique(found.indices)) == wanted, "a record was chosen twice"
    assert (found.values > 0).all(), "some weights are not positive"
    loss, cpu = found.metrics["loss"], expected.metrics["loss"]
    near("the loss, beside the CPU's,", loss, cpu, NEAR)
    return f"loss {loss:.3%}, the CPU's {cpu:.3%}"


def within_bounds(device: torch.device, method: str) -> str:
    """Bounds hold to the last bit."""
    result = _solve(device, method=method, bounds=BOUNDS)
    ratios = result.values / problem().design_weights[result.indices]
    assert ((ratios >= BOUNDS[0]) & (ratios <= BOUNDS[1])).all(), (
        f"ratios reach from {ratios.min():.17g} to {ratios.max():.17g}"
    )
    return _compare(device, method=method, bounds=BOUNDS)


def repeat(device: torch.device) -> str:
    """The same call twice; a difference is no error, and worth knowing."""
    one, other = _fresh(device), _fresh(device)
    same = len(np.intersect1d(one.indices, other.indices))
    if same < KEEP:
        return f"{KEEP - same} of {KEEP} records differ"
    gap = np.abs(one.values / other.values - 1).max()
    return "the same to the last bit" if gap == 0 else f"weights differ by {gap:.1g} of themselves"


def frontier(device: torch.device) -> str:
    """One row a budget, the losses about the CPU's."""
    budgets = [40, 80, 160]
    tables = [
        problem().frontier(budgets, "path", device=place, epochs=EPOCHS).to_frame()
        for place in (device, "cpu")
    ]
    assert tables[0].column("n_records").to_pylist() == budgets[::-1]
    losses, expected = (table.column("loss").to_numpy() for table in tables)
    near("the losses, beside the CPU's,", losses, expected, NEAR)
    return "losses " + ", ".join(f"{loss:.3%}" for loss in losses)


def frames(device: torch.device) -> str:
    """`l0.calibrate` on tables; the result says which device it came from."""
    generator = np.random.default_rng(1)
    weights = generator.uniform(50, 150, N)
    state = generator.choice(["a", "b", "c"], N)
    income = generator.lognormal(10, 1, N)
    records = pa.table({"id": np.arange(N), "weight": weights, "state": state, "income": income})
    rows = [
        {"variable": variable, "state": label, "value": 1.1 * float(amount[state == label].sum())}
        for label in "abc"
        for variable, amount in (("count", weights), ("income", weights * income))
    ]
    result = l0.calibrate(
        records, pa.Table.from_pylist(rows), n_records=KEEP, key="id", weight="weight",
        device=device, epochs=EPOCHS,
    )  # fmt: skip
    assert result.run["arguments"]["device"].startswith(device.type)
    assert result.weights.num_rows == KEEP
    assert result.metrics["loss"] < NEAR, f"the loss is {result.metrics['loss']:.3%}"
    return f"loss {result.metrics['loss']:.3%}"


def chosen_device(device: torch.device) -> str:
    """Where no device is named, it is CUDA where there is one."""
    name = _solve(None).run["arguments"]["device"]
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert name.startswith(expected), f"it ran on {name}"
    return f"it is {name}"


def progress(device: torch.device) -> str:
    """A listener hears of every stage."""
    heard: list[Any] = []
    _fresh(device, progress=heard.append)
    stages = list(dict.fromkeys(state.stage for state in heard))
    assert len(stages) >= 3, f"only {stages}"
    return ", ".join(stages)


def under_autocast(device: torch.device) -> str:
    """Autocast around the call does no harm."""
    expected = _solve(device, method="path").metrics["loss"]
    for precision in HALVES:
        with torch.autocast(device.type, precision):
            found = _fresh(device, method="path").metrics["loss"]
        near(f"the loss under {precision},", found, expected, 1e-3)
    return f"loss {found:.3%}"


def under_default_device(device: torch.device) -> None:
    """`torch.set_default_device` changes nothing, for a solve on either device."""
    for place in {device, torch.device("cpu")}:
        for method in ("hybrid", "hard_concrete"):
            expected = _solve(place, method=method).metrics["loss"]
            with default_device(device):
                found = _fresh(place, method=method).metrics["loss"]
            near(f"the loss on {place.type},", found, expected, NEAR)


CHECKS: dict[str, Check] = {
    **{f"calibration: method {method}": partial(_compare, method=method) for method in SELECTORS},
    "calibration: all records": partial(_compare, n_records=None),
    "calibration: all records within bounds": partial(_compare, n_records=None, bounds=BOUNDS),
    "calibration: loss relative": partial(_compare, loss="relative"),
    "calibration: loss relative, path": partial(_compare, loss="relative", method="path"),
    **{
        f"calibration: bounds, {method}": partial(within_bounds, method=method)
        for method in ("hybrid", "path", "hard_concrete")
    },
    "calibration: frontier": frontier,
    "calibration: tables": frames,
    "calibration: default of `device`": chosen_device,
    "calibration: progress": progress,
    "calibration: the same twice": repeat,
    "calibration: under autocast": under_autocast,
    "calibration: under a default device": under_default_device,
}
