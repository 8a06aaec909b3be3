"""The entries of a `run.json` that reports and repeated runs read, checked before they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any


def broken_entries(run: Mapping[str, Any]) -> list[str]:
    """List the entries of a description of a run (see `provenance`) that are not what they were.

    Entries that a description need not have may be missing.
    """
    checks: dict[str, Callable[[Any], bool]] = {
        "key": lambda key: key is None or isinstance(key, str),
        "weight": lambda weight: weight is None or isinstance(weight, str),
        "arguments": _are_arguments,
        "call": lambda call: isinstance(call, str),
        "problem_sha256": lambda digest: isinstance(digest, str),
        "threads": lambda threads: isinstance(threads, int),
        "versions": lambda versions: _are_all(str, versions, dict),
        "notes": lambda notes: _are_all(str, notes, list),
        "n_dropped": lambda n_dropped: isinstance(n_dropped, int),
        "inputs": _are_inputs,
    }
    return [name for name, is_sound in checks.items() if name in run and not is_sound(run[name])]


def _are_all(kind: type, entries: Any, container: type[dict[Any, Any]] | type[list[Any]]) -> bool:
    if not isinstance(entries, container):
        return False
    values = entries.values() if isinstance(entries, dict) else entries
    return all(isinstance(value, kind) for value in values)


def _are_arguments(arguments: Any) -> bool:
    if not (isinstance(arguments, dict) and isinstance(arguments.get("method", ""), str)):
        return False
    trims = arguments.get("trim", [])
    return _are_all(dict, trims, list) and all(
        trim.keys() == {"lower", "upper"}
        and all(limit is None or isinstance(limit, Real) for limit in trim.values())
        for trim in trims
    )


def _are_inputs(inputs: Any) -> bool:
    if not (isinstance(inputs, dict) and inputs.keys() == {"records", "targets", "members"}):
        return False
    members = inputs["members"]
    return isinstance(members, dict) and all(
        _is_source(source) for source in (inputs["records"], inputs["targets"], *members.values())
    )


def _is_source(source: Any) -> bool:
    """Tell whether this is the path and digest of a file, or the kind and shape of a frame."""
    if not isinstance(source, dict):
        return False
    if source.keys() == {"path", "sha256"}:
        return _are_all(str, source, dict)
    return (
        source.keys() == {"frame", "shape"}
        and isinstance(source["frame"], str)
        and _are_all(int, source["shape"], list)
        and len(source["shape"]) == 2
    )
