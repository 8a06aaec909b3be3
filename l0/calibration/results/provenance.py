"""The provenance of a result: what is needed to repeat the run and to compare it with another."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from l0.calibration.problem.core import Problem
from l0.calibration.selection import SELECTORS, Selector
from l0.common.formatting import as_lines
from l0.common.validation import as_plain
from l0.data.locations import locate
from l0.data.readers.parquet_files import parts_of
from l0.data.tables import collected, is_path, read_table

UNTRIMMED = (
    "The replicate weights were left out, because they belong to the weights before the trimming; "
    "calibrate with `weight_bounds` in place of it"
)


def describe_source(source: Any) -> dict[str, Any]:
    """Describe an input: the path and digest of a file, or the kind and shape of a frame."""
    if isinstance(source, (str, os.PathLike)):
        location = locate(source)
        path = location.path.resolve()
        return {"path": str(replace(location, path=path)), "sha256": _digest_of_files(path)}
    return {"frame": type(source).__module__.split(".")[0], "shape": list(source.shape)}


def _digest_of_files(path: Path) -> str:
    """Compute the digest of a file, or of the digests and names of the parts in a folder."""
    if path.is_dir():
        parts = (
            f"{_digest_of_files(part)} {part.relative_to(path).as_posix()}"
            for part in parts_of(path)
        )
        return hashlib.sha256(as_lines(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_inputs(
    records: Any, targets: Any, members: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Describe the input tables of a problem."""
    return {
        "records": describe_source(records),
        "targets": describe_source(targets),
        "members": {
            as_plain(name): describe_source(member) for name, member in (members or {}).items()
        },
    }


def describe_limits(pair: Any) -> tuple[Any, Any] | None:
    """Describe a pair of limits: numbers and names of columns as given, an array by its digest.

    None is a side without a limit, and a pair without limits.
    """
    if pair is None:
        return None
    low, high = map(_describe_limit, pair)
    low, high = None if low == 0 else low, None if high == math.inf else high
    return None if low is None and high is None else (low, high)


def describe_constraints(must_keep: Any, quotas: Any) -> dict[str, Any]:
    """Describe the options `must_keep` and `quotas`, as far as they are given.

    The name of a column stays as it is, keys and flags are described by their digest, and a file
    like the other files. A frame has its digest too: a run with other quotas is another run.
    """
    found: dict[str, Any] = {}
    if isinstance(must_keep, str):
        found["must_keep"] = must_keep
    elif must_keep is not None:
        values = [str(value) for value in must_keep]
        if isinstance(must_keep, (set, frozenset)):
            values.sort()
        sha256 = hashlib.sha256(as_lines(values).encode()).hexdigest()
        found["must_keep"] = {"shape": [len(values)], "sha256": sha256}
    if quotas is not None:
        quotas = collected(quotas)
        found["quotas"] = describe_source(quotas)
        if not is_path(quotas):
            content = repr(read_table(quotas, "quotas")[0].to_pydict())
            found["quotas"]["sha256"] = hashlib.sha256(content.encode()).hexdigest()
    return found


def _describe_limit(limit: Any) -> float | str | dict[str, Any] | None:
    if limit is None or isinstance(limit, str):
        return limit
    numbers = np.asarray(limit, dtype=np.float64)
    if numbers.ndim == 0:
        return float(numbers)
    sha256 = hashlib.sha256(numbers.tobytes()).hexdigest()
    return {"shape": list(numbers.shape), "sha256": sha256}


def describe_run(
    problem: Problem, method: str | Selector, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe what is needed to repeat a run.

    Parameters
    ----------
    problem : Problem
    method : str or Selector
    arguments : mapping
        All other options, as plain numbers and text.

    Returns
    -------
    dict
        `key` and `weight` (names of the columns), `arguments`, `call` (the code that repeats the
        run), `problem_sha256`, `threads` and `versions`, for tables also `inputs`, and `n_dropped`
        if records of design weight 0 were left out.
    """
    method, arguments = as_plain(method), as_plain(arguments)
    named = method if isinstance(method, str) else repr(method)
    run: dict[str, Any] = {
        "key": problem.key,
        "weight": problem.weight,
        "arguments": {"method": named, **arguments},
        "call": _call(problem, method, arguments),
        "problem_sha256": digest(problem),
        "threads": torch.get_num_threads(),
        "versions": dict(versions()),
    }
    if problem.n_dropped:
        run["n_dropped"] = problem.n_dropped
    return run if problem.inputs is None else {**run, "inputs": dict(problem.inputs)}


def add_trimming(
    run: Mapping[str, Any], lower: float | None, upper: float | None
) -> dict[str, Any]:
    """Add a trimming of the weights to the description of a run.

    The argument `trim` lists all trimmings in their order.
    """
    limits = {
        name: None if limit is None or limit == math.inf else float(limit)
        for name, limit in (("lower", lower), ("upper", upper))
    }
    arguments = run["arguments"]
    notes = _other_notes(run)
    if "replicates" in run:
        notes.append(UNTRIMMED)
    written = ", ".join(f"{name}={limit!r}" for name, limit in limits.items())
    return {
        **{name: value for name, value in run.items() if name != "replicates"},
        "notes": notes,
        "arguments": {**arguments, "trim": [*arguments.get("trim", []), limits]},
        "call": f"{run['call']}\nresult = result.trim({written})",
    }


def add_replicates(
    run: Mapping[str, Any],
    asked: int | Mapping[str, Any],
    found: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Add replicate weights that were made later to the description of a run.

    The call makes them at once, which gives the same ones. Earlier replicate weights are replaced.
    """
    others = _other_notes(run)
    line = f"    replicates={written_replicates(asked)},"
    return {
        **run,
        "arguments": {**run["arguments"], "replicates": asked},
        "call": re.sub(r"^    replicates=.*$", lambda _: line, run["call"], flags=re.MULTILINE),
        "replicates": {**found, "notes": list(notes)},
        "notes": [*others, *notes],
    }


def _other_notes(run: Mapping[str, Any]) -> list[str]:
    """List the notes that are not on replicate weights."""
    own = run.get("replicates", {}).get("notes", [])
    return [note for note in run["notes"] if note not in own]


def written_replicates(described: int | Mapping[str, Any] | None) -> str:
    """Write the option `replicates` (see `describe_replicates`). An array is a variable."""
    if not isinstance(described, Mapping):
        return repr(described)
    settings = ", ".join(
        f"{name}={name if isinstance(value, Mapping) else repr(value)}"
        for name, value in described.items()
        if name != "kind"
    )
    return f"l0.calibration.{described['kind']}({settings})"


def digest(problem: Problem) -> str:
    """Compute a digest of the problem. It does not depend on the order of the rows."""
    fingerprint = hashlib.sha256()
    matrix = problem.matrix
    for array in (matrix.indptr, matrix.indices, matrix.data, problem.values,
                  problem.design_weights, problem.importance, problem.tolerance):  # fmt: skip
        fingerprint.update(np.ascontiguousarray(array).data)
    fingerprint.update(as_lines(problem.names).encode())
    if (kinds := problem.kinds) is not None:
        of = kinds.denominators
        for array in (of.indptr, of.indices, of.data, kinds.at_least, kinds.at_most, kinds.sizes):
            fingerprint.update(np.ascontiguousarray(array).data)
        fingerprint.update(as_lines(kinds.statistics).encode())
    return fingerprint.hexdigest()


@cache
def versions() -> Mapping[str, str]:
    """List the versions of Python and of the packages that compute the numbers."""
    found = {"python": platform.python_version()}
    for package in ("l0-python", "torch", "numpy", "scipy", "pyarrow", "narwhals"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[package] = "unknown"
    return found


def _call(problem: Problem, method: str | Selector, arguments: Mapping[str, Any]) -> str:
    """Write the code that repeats a run."""
    lines = ["import l0"]
    written = repr(method)
    classes = {"Solver"} if "solver" in arguments else set()
    if not isinstance(method, str):
        needed = _classes(method)
        if needed is None:
            lines.append(f"# `method` is an object of your own: {' '.join(written.split())}")
            written = "method"
        else:
            classes |= needed
    if classes:
        lines.append(f"from l0.calibration import {', '.join(sorted(classes))}")
    parts = []
    if problem.inputs is not None:
        sources = problem.inputs
        parts += [_source(sources[name], name) for name in ("records", "targets")]
        parts += [f"{name}={getattr(problem, name)!r}" for name in ("key", "weight")
                  if getattr(problem, name)]  # fmt: skip
        if sources["members"]:
            tables = (
                f"{name!r}: {_source(source, f'member_{place}')}"
                for place, (name, source) in enumerate(sources["members"].items(), 1)
            )
            parts.append(f"members={{{', '.join(tables)}}}")
        if problem.n_dropped:
            parts.append("zero_weights='drop'")
    parts.append(f"method={written}")
    parts += [f"{name}={_written(name, value)}" for name, value in arguments.items()]
    function = "problem.solve" if problem.inputs is None else "l0.calibrate"
    return "\n".join(
        [*lines, "", f"result = {function}(", *(f"    {part}," for part in parts), ")"]
    )


def _written(name: str, value: Any) -> str:
    """Write an option. An array or a frame is a variable, also in a pair of limits."""
    if name == "solver":
        return f"Solver({', '.join(f'{setting}={each!r}' for setting, each in value.items())})"
    if name == "replicates":
        return written_replicates(value)
    if isinstance(value, Mapping):
        return _source(value, name)
    if name not in ("bounds", "weight_bounds") or value is None:
        return repr(value)
    sides = zip(("low", "high"), value, strict=True)
    low, high = (
        f"{name}_{side}" if isinstance(limit, Mapping) else repr(limit) for side, limit in sides
    )
    return f"({low}, {high})"


def _classes(value: object) -> set[str] | None:
    """List the names of `l0.calibration` in the repr of a selector; None if it has other names."""
    if isinstance(value, (bool, int, float, str, type(None))):
        return set()
    if type(value) not in {type(make()) for make in SELECTORS.values()}:
        return None
    needed = [_classes(getattr(value, field.name)) for field in fields(value)]  # type: ignore[arg-type]
    if None in needed:
        return None
    return {type(value).__name__}.union(*(names for names in needed if names))


def _source(source: Mapping[str, Any], name: str) -> str:
    """Write an input as its path, or as a variable if it was a frame."""
    return repr(source["path"]) if "path" in source else name
