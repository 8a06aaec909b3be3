"""The path on a made-up surface of the largest published shape, and an epoch beside l0-python 0.6.

``python benchmarks/surface.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from checks import check
from surface_data import load

from l0.calibration import SELECTORS, CalibrationProblem
from l0.calibration.metrics import fit_metrics

HERE = Path(__file__).resolve().parent
N_RECORDS, KEEP, PEER_RECORDS = 337_704, 57_240, 50_000
PEER = "l0-python==0.6.2"


def run(file: Path, keep: int, method: str) -> bool:
    """Solve and print what it took; say whether the path, at full size, kept the limits."""
    started = time.perf_counter()
    problem = CalibrationProblem.from_matrix(*load(str(file)))
    compiled = time.perf_counter() - started
    design = (problem.estimate(problem.design_weights) - problem.values) / problem.scales
    before = fit_metrics(design, problem.importance)
    print(
        f"{problem.n_records:,} records, {problem.n_targets:,} targets, "
        f"{problem.matrix.nnz / problem.n_records:.0f} entries a record, "
        f"{torch.get_num_threads()} threads\n"
        f"read and compiled in {compiled:.1f} s\n"
        f"design weights: loss {before['loss']:.1%}, median error {before['median_error']:.1%}"
    )
    started = time.perf_counter()
    result = problem.solve(keep, method)
    seconds = time.perf_counter() - started
    print_stages(result.history.to_pylist(), seconds)
    # The most this process held at once: the generator ran in another.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures = (
        ("records kept", len(result.values), "exactly", keep),
        ("loss after refit, %", 100 * result.metrics["loss"], "at most", 0.35),
        ("seconds", seconds, "at most", 40.0),
        ("peak memory, GB", peak, "at most", 3.0),
    )
    if (problem.n_records, keep, method) == (N_RECORDS, KEEP, "path"):
        return all([check(*figure) for figure in figures])
    for what, value, *_ in figures:
        print(f"{what}: {value:,.6g}")
    print(f"effective sample size: {result.metrics['effective_sample_size']:,.0f}")
    return True


def print_stages(history: list[dict[str, Any]], seconds: float) -> None:
    """Print the epochs and seconds of every stage, and what is left for checks and accounts."""
    upto, epoch = 0.0, 0
    for stage in dict.fromkeys(row["stage"] for row in history):
        last = [row for row in history if row["stage"] == stage][-1]
        took, epochs = last["seconds"] - upto, last["epoch"] - epoch
        print(f"{stage}: {epochs:,} epochs in {took:.1f} s, {1000 * took / epochs:.1f} ms an epoch")
        upto, epoch = last["seconds"], last["epoch"]
    print(f"checks before and accounts after: {seconds - upto:.1f} s")


def run_epochs(file: Path, threads: int, repeats: int) -> bool:
    """Time epochs of l0-python 0.6 and of ours in turns; say whether ours is fast enough."""
    # -E: what PYTHONPATH holds is not for the peer; nor are its warnings for us.
    pythons = {"peer": (peer_python(), "-E", "-W", "ignore"), "ours": (sys.executable,)}
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        for side, python in pythons.items():
            output = call(*python, HERE / "epoch.py", file, threads, side)
            for fit, seconds in json.loads(output).items():
                times.setdefault(fit, []).append(seconds)
    medians = {fit: statistics.median(seconds) for fit, seconds in times.items()}
    theirs = next(iter(medians.values()))
    print(f"seconds an epoch on {threads} threads: median of {repeats} (min to max), times faster")
    for fit, seconds in times.items():
        print(
            f"  {fit:<14} {medians[fit]:.4f} ({min(seconds):.4f} to {max(seconds):.4f})"
            f" {theirs / medians[fit]:7.1f}"
        )
    return check("times faster, like for like", theirs / medians["hard_concrete"], "at least", 50)


def peer_python() -> Path:
    """Give the Python of an environment with l0-python 0.6.2 and our version of torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = cache / "l0-benchmarks" / PEER.replace("==", "-")
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        print(f"installing {PEER} into {home}", file=sys.stderr)
        call(sys.executable, "-m", "venv", "--clear", home)
        torch_pin = f"torch=={torch.__version__.split('+')[0]}"
        call(python, "-m", "pip", "install", "--quiet", PEER, torch_pin)
        ready.touch()
    return python


def call(*command: object) -> str:
    """Run a command to its end and give what it printed."""
    words = [str(word) for word in command]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


def share_or_count(text: str) -> float:
    """Read ``17%`` or ``57240``."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def main() -> int:
    """Make a surface, run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--records", type=int, help=f"default {N_RECORDS:,}; {PEER_RECORDS:,} with --peer"
    )
    parser.add_argument(
        "--keep",
        type=share_or_count,
        default=KEEP / N_RECORDS,
        help="a number or, as 17%%, a share",
    )
    parser.add_argument("--method", choices=SELECTORS, default="path")
    parser.add_argument("--peer", action="store_true", help=f"time epochs beside {PEER} instead")
    parser.add_argument("--repeats", type=int, default=3, help="of the times beside the peer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n_records = options.records or (PEER_RECORDS if options.peer else N_RECORDS)
    keep = round(options.keep * n_records) if options.keep < 1 else int(options.keep)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "surface.npz"
        call(sys.executable, HERE / "surface_data.py", file, n_records, options.seed)
        if options.peer:
            passed = run_epochs(file, options.threads, options.repeats)
        else:
            passed = run(file, keep, options.method)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
