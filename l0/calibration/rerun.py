"""Repeat a saved run that was made from files, and compare the two results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from l0.calibration.calibrate import calibrate
from l0.calibration.progress import Listener
from l0.calibration.results.provenance import describe_source, versions
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import SELECTORS
from l0.calibration.solver_settings import Solver
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.data.locations import locate


@dataclass(frozen=True)
class Comparison:
    """A run and its repetition.

    Attributes
    ----------
    same : bool
        Whether both chose the same records, with the same weights to the last bit.
    sentences : list of str
        What is the same, what differs, and what may be the reason.
    """

    same: bool
    sentences: list[str]


def rerun(
    saved: Path, progress: Listener | None = None
) -> tuple[CalibrationResult[Any], Comparison]:
    """Repeat a saved run.

    Parameters
    ----------
    saved : Path
        The folder of a result, or its ``run.json``.
    progress : callable, optional

    Raises
    ------
    InputError
        If the run was made from frames or with objects that ``run.json`` does not contain, or if an
        input file has changed or is elsewhere. The message names them.
    """
    earlier = CalibrationResult.load(saved.parent if saved.name == "run.json" else saved)
    run = earlier.run
    inputs = _inputs(run)
    arguments = dict(run["arguments"])
    trims = arguments.pop("trim", [])
    lost = [name for name, value in arguments.items() if _is_lost(name, value)]
    if lost:
        raise InputError(
            f"the run was made with {first_few(lost)}, which run.json describes and does not "
            "contain; repeat it in Python, with the code in run.json under 'call'"
        )
    arguments["solver"] = Solver(**arguments["solver"])
    for name in ("bounds", "weight_bounds"):
        arguments[name] = arguments[name] and tuple(arguments[name])
    if isinstance(arguments["represent"], list):
        arguments["represent"] = [
            tuple(each) if isinstance(each, list) else each for each in arguments["represent"]
        ]
    if isinstance(arguments["quotas"], dict):
        arguments["quotas"] = arguments["quotas"]["path"]
    if "n_dropped" in run:
        arguments["zero_weights"] = "drop"
    result = calibrate(
        **inputs, key=run["key"], weight=run["weight"], progress=progress, **arguments
    )
    for limits in trims:
        result = result.trim(**limits)
    return result, _compare(earlier, result)


def _inputs(run: Mapping[str, Any]) -> dict[str, Any]:
    """Take the paths of the input files, and check that the files have not changed."""
    described = run.get("inputs")
    if described is None:
        raise InputError("the run was made from a matrix, and not from files; repeat it in Python")
    named = {name: described[name] for name in ("records", "targets")}
    named |= {f"members[{name!r}]": each for name, each in described["members"].items()}
    if isinstance(quotas := run["arguments"]["quotas"], dict):
        named["quotas"] = quotas
    frames = [name for name, source in named.items() if "path" not in source]
    if frames:
        raise InputError(
            f"the run was made from tables in memory ({first_few(frames)}), and not from files; "
            "repeat it in Python, with the code in run.json under 'call'"
        )
    lost = [source["path"] for source in named.values() if not locate(source["path"]).path.exists()]
    if lost:
        raise InputError(
            f"the files {first_few(lost)} are not where the run read them; put them back, or "
            "calibrate anew with the files where they are now"
        )
    changed = [
        source["path"]
        for source in named.values()
        if describe_source(source["path"])["sha256"] != source["sha256"]
    ]
    if changed:
        raise InputError(
            f"the files {first_few(changed)} have changed since the run; restore them, or "
            "calibrate anew"
        )
    members = {name: source["path"] for name, source in described["members"].items()}
    return {
        "records": described["records"]["path"],
        "targets": described["targets"]["path"],
        "members": members or None,
    }


def _is_lost(name: str, value: Any) -> bool:
    """Tell whether an argument is only described: an array by its digest, an object by its text."""
    if name == "method":
        return value not in SELECTORS
    if name == "solver":
        return False
    sides = value if isinstance(value, list) else [value]
    return any(isinstance(side, dict) and "path" not in side for side in sides)


def _compare(earlier: CalibrationResult[Any], result: CalibrationResult[Any]) -> Comparison:
    sentences = []
    if not (same := np.array_equal(earlier.indices, result.indices)):
        common = len(np.intersect1d(earlier.indices, result.indices))
        chosen, are = counted(len(earlier.indices), "chosen record"), "is" if common == 1 else "are"
        sentences.append(f"Of {chosen}, {common:,} {are} the same.")
    elif same := np.array_equal(earlier.values, result.values):
        sentences.append(f"All {len(earlier.values):,} records and weights are the same.")
    else:
        furthest = float(np.abs(result.values / earlier.values - 1).max())
        sentences.append(
            f"The {len(earlier.values):,} chosen records are the same; their weights differ by up "
            f"to {furthest:.1e} of a weight."
        )
    if not same:
        losses = earlier.metrics["loss"], result.metrics["loss"]
        sentences.append("The loss was {:.4%}, and is {:.4%}.".format(*losses))
        sentences += _reasons(earlier, result)
    return Comparison(same, sentences)


def _reasons(earlier: CalibrationResult[Any], result: CalibrationResult[Any]) -> Iterator[str]:
    """List what can make two runs differ."""
    if earlier.run["problem_sha256"] != result.run["problem_sha256"]:
        yield "The matrix, the values or the design weights that the files give are others now."
    old, new = earlier.run["versions"], versions()
    packages = [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    if packages:
        yield f"Other versions: {', '.join(packages)}."
    if (before := earlier.run["threads"]) != (after := result.run["threads"]):
        yield f"The run had {before} threads, and this one {after}: set OMP_NUM_THREADS={before}."
