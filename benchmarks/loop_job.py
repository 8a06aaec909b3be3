"""One fit of the bundled CPS, as JSON: a loop of chunks with the class of 0.6, or `l0.calibrate`.

``python loop_job.py loop CHUNKS LAMBDA [PATTERN]`` and ``python loop_job.py calibrate K [PATTERN]``
hold out the targets that match the pattern.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import l0
from l0.calibration import CalibrationProblem
from l0.calibration.evaluation.comparison import untargeted_metrics
from l0.calibration.evaluation.metrics import effective_sample_size
from l0.calibration.holdout import hold_out
from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import score

#: The settings of the production fit whose shape this loop has. Its penalty depends on the file.
MODEL = {"beta": 0.65, "gamma": -0.1, "zeta": 1.1, "init_keep_prob": 0.999}
JITTER = {"log_weight_jitter_sd": 0.05, "log_alpha_jitter_sd": 0.01}
FIT = {"lambda_l2": 1e-12, "lr": 0.15, "loss_type": "relative"}
EPOCHS = 100


class Loop:
    """Chunks of epochs, with a line of the log for each target and a checkpoint after each chunk.

    Parameters
    ----------
    problem : Problem
    lambda_l0 : float
    folder : Path
        Where the log and the checkpoint are written.
    epochs : int
        The epochs of a chunk.
    """

    def __init__(
        self, problem: Problem, lambda_l0: float, folder: Path, epochs: int = EPOCHS
    ) -> None:
        # No weight reaches a target without records, and the class refuses it.
        rows = np.flatnonzero(np.diff(problem.matrix.indptr))
        self.M, self.y = problem.matrix[rows], problem.values[rows]
        self.names = [problem.names[row] for row in rows]
        self.problem, self.lambda_l0, self.epochs = problem, lambda_l0, epochs
        self.log, self.checkpoint = folder / "calibration_log.csv", folder / "checkpoint.pt"
        self.model = self.build()
        self.done = 0

    def build(self) -> l0.SparseCalibrationWeights:
        """Make the model that a run starts with."""
        return l0.SparseCalibrationWeights(
            self.problem.n_records,
            init_weights=self.problem.design_weights,
            seed=0,
            **MODEL,
            **JITTER,
        )

    def run(self, chunks: int) -> None:
        """Fit so many chunks."""
        for _ in range(chunks):
            self.model.fit(self.M, self.y, lambda_l0=self.lambda_l0, epochs=self.epochs, **FIT)
            self.done += 1
            self._write_log(self.done * self.epochs)
            torch.save(self.model.state_dict(), self.checkpoint)

    def resume(self, moments: bool = True) -> None:
        """Go on with a new model from the checkpoint, or from the parameters in it alone."""
        state = torch.load(self.checkpoint, weights_only=True)
        if not moments:  # what the checkpoints of 0.6 have
            state = {name: state[name] for name in ("log_weight", "log_alpha")}
        self.model = self.build()
        self.model.load_state_dict(state)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights of all records, (n,)."""
        found = self.model.get_weights(deterministic=True).detach().double().numpy()
        return np.asarray(found)

    def _write_log(self, epoch: int) -> None:
        estimates = self.model.predict(self.M).numpy()
        errors = (estimates - self.y) / np.maximum(np.abs(self.y), 1)
        with self.log.open("a", encoding="utf-8") as file:
            for name, estimate, target, error in zip(
                self.names, estimates, self.y, errors, strict=True
            ):
                file.write(f'{epoch},"{name}",{estimate:.8g},{target:.8g},{error:.6g}\n')


def error_of(problem: Problem, weights: NDArray[np.float64]) -> float:
    """Compute the mean capped relative error on the targets of a problem."""
    relative = problem.relative_errors(problem.errors(problem.estimate(weights)))
    return score(relative, problem.importance)


def account(problem: Problem, weights: NDArray[np.float64], seconds: float) -> dict[str, Any]:
    """Say what the weights of all records are worth, and what they cost so far."""
    chosen = weights[weights > 0]
    return {
        "error": error_of(problem, weights),
        "held_out": None if problem.held_out is None else error_of(problem.held_out, weights),
        "records": len(chosen),
        "ess": effective_sample_size(chosen),
        "seconds": seconds,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def by_loop(
    problem: CalibrationProblem[Any], patterns: list[str], chunks: int, lambda_l0: float
) -> dict[str, Any]:
    """Fit by the loop, which stops once and goes on from its checkpoint."""
    fitted = hold_out(problem, patterns)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        loop = Loop(fitted, lambda_l0, Path(folder))
        loop.run(chunks // 2)
        loop.resume()
        loop.run(chunks - chunks // 2)
        weights = loop.weights
        found = account(fitted, weights, time.process_time() - started)
        if not patterns:
            found["next_chunk"] = next_chunk(loop)
    reference = np.zeros(problem.n_records)
    full = problem.solve(holdout=patterns)
    reference[_places(problem, full.indices)] = full.values
    assert fitted.untargeted is not None
    table = fitted.untargeted.compare(reference, weights)
    return {**found, "untargeted": untargeted_metrics(table)["untargeted_capped_error"]}


def next_chunk(loop: Loop) -> dict[str, float]:
    """Fit a chunk more in three ways, and give the mean errors on the targets."""
    found = {"stopped here": error_of(loop.problem, loop.weights)}
    kept = loop.checkpoint.read_bytes()
    for name, moments in (("not stopped", None), ("resumed", True), ("Adam begins anew", False)):
        loop.checkpoint.write_bytes(kept)
        if moments is not None:
            loop.resume(moments)
        loop.run(1)
        found[name] = error_of(loop.problem, loop.weights)
    return found


def by_calibrate(
    problem: CalibrationProblem[Any], patterns: list[str], n_records: int
) -> dict[str, Any]:
    """Choose exactly as many records, and fit their weights."""
    started = time.process_time()
    result = problem.solve(n_records, holdout=patterns)
    seconds = time.process_time() - started
    weights = np.zeros(problem.n_records)
    weights[_places(problem, result.indices)] = result.values
    found = account(hold_out(problem, patterns), weights, seconds)
    return {**found, "untargeted": result.metrics["untargeted_capped_error"]}


def _places(problem: Problem, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the places in the problem of rows of the table of records."""
    return np.argsort(problem.record_order)[indices]


def main() -> None:
    """Read the survey, fit once, and print what came out."""
    how, size, *rest = sys.argv[1:]
    torch.set_num_threads(1)
    tax_units, persons, targets = l0.datasets.load_cps()
    problem = CalibrationProblem.from_frames(
        tax_units, targets, key="tax_unit_id", weight="weight", members={"person": persons}
    )
    if how == "loop":
        found = by_loop(problem, rest[1:], int(size), float(rest[0]))
    else:
        found = by_calibrate(problem, rest, int(size))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
