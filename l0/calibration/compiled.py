"""A compiled problem as a file: its matrix, its survey and its targets, without a new reading."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.matrix_statistics import MatrixStatistics
from l0.calibration.evaluation.untargeted import SurveyStatistics
from l0.calibration.inputs.column_types import ColumnTypes, Labels
from l0.calibration.inputs.kinds import Statement
from l0.calibration.inputs.survey import Entity, Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.core import Problem
from l0.calibration.problem.kinds import Kinds
from l0.calibration.sampling.stratification import (
    SharedTargetsStratification,
    SurveyStratification,
)
from l0.common.errors import InputError
from l0.data.part_files import Parts, read_parts, write_parts

#: The layout of the parts. It grows with each change that an earlier version cannot read.
FORMAT = 1
#: Fields of a problem that are arrays, and those that JSON can hold.
_ARRAYS = (
    "values", "design_weights", "importance", "tolerance", "record_order", "target_order",
)  # fmt: skip
_PLAIN = (
    "names", "groups", "variables", "key", "weight", "kind", "inputs", "floor", "n_dropped",
    "grouped",
)  # fmt: skip
_KEYS, _LABELS, _RECORDS = "keys", "labels", "records"


def write_problem(path: str | os.PathLike[str], problem: Problem) -> None:
    """Write a problem (see `CalibrationProblem.save`)."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(problem, name) for name in _ARRAYS}
    plain: dict[str, Any] = {name: getattr(problem, name) for name in _PLAIN}
    tables = {_KEYS: pa.table({_KEYS: problem.keys})}
    arrays |= _of_matrix("matrix", problem.matrix)
    plain["shape"] = problem.matrix.shape
    if problem.labels is not None:
        tables[_LABELS] = problem.labels
    if (kinds := problem.kinds) is not None:
        plain["statistics"] = list(kinds.statistics)
        arrays |= {
            f"kinds.{name}": getattr(kinds, name) for name in ("at_least", "at_most", "sizes")
        }
        arrays |= _of_matrix("denominators", kinds.denominators)
    statistics = problem.untargeted
    if isinstance(statistics, MatrixStatistics):
        arrays |= _of_matrix("untargeted", statistics.matrix)
        plain["n_untargeted"] = statistics.matrix.shape[0]
    if (survey := problem.survey) is not None:
        assert isinstance(statistics, SurveyStatistics)
        plain["members"] = list(survey.members)
        plain["weighted"] = survey.weights is not None
        plain["targets"] = [asdict(of) for of in statistics.targets.statements]
        plain["target_names"] = statistics.targets.names
        plain["target_groups"] = statistics.targets.groups
        arrays["target_importance"] = statistics.targets.importance
        arrays["target_tolerance"] = statistics.targets.tolerance
        plain["types"] = {}
        tables[_RECORDS] = survey.records.table
        for name, entity in survey.members.items():
            tables[f"members.{name}"] = entity.table
            arrays[f"members.{name}"] = entity.record
        for name, types in statistics.column_types.items():
            plain["types"][name] = {
                "amounts": types.amounts,
                "labels": [[column.name, column.levels] for column in types.labels],
            }
            for place, column in enumerate(types.labels):
                arrays[f"codes.{name}.{place}"] = column.codes
    write_parts(path, Parts({"format": FORMAT, **plain}, arrays, tables))


def read_problem(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the fields of a problem.

    Raises
    ------
    InputError
        If the file is damaged, of another kind, or from a newer version.
    """
    parts = read_parts(path, "path")
    plain, arrays = parts.plain, parts.arrays
    if "format" not in plain:
        raise InputError(f"`path`: {str(path)!r} has no problem in it; name a file of `save`")
    if plain["format"] != FORMAT:
        raise InputError(
            f"`path`: another version of l0 wrote {str(path)!r} (its layout is {plain['format']}, "
            f"and this version reads {FORMAT}); install that version, or make the problem again"
        )
    m, n = plain["shape"]
    matrix = _matrix(arrays, "matrix", (m, n))
    found: dict[str, Any] = {
        **{name: arrays[name] for name in _ARRAYS},
        **{name: plain[name] for name in _PLAIN},
        "matrix": matrix,
        "keys": parts.tables[_KEYS].column(_KEYS).combine_chunks(),
        "labels": parts.tables.get(_LABELS),
        "kinds": None,
        "survey": None,
        "untargeted": None,
        "stratification": SharedTargetsStratification(matrix),
    }
    if "statistics" in plain:
        found["kinds"] = Kinds(
            plain["statistics"],
            arrays["kinds.at_least"],
            arrays["kinds.at_most"],
            _matrix(arrays, "denominators", (m, n)),
            arrays["kinds.sizes"],
        )
    if "n_untargeted" in plain:
        found["untargeted"] = MatrixStatistics(
            _matrix(arrays, "untargeted", (plain["n_untargeted"], n))
        )
    if "members" in plain:
        survey = _survey(parts, found)
        types = {name: _types(name, of, arrays) for name, of in plain["types"].items()}
        found["survey"] = survey
        found["stratification"] = SurveyStratification(survey, types[""])
        found["untargeted"] = SurveyStatistics(survey, types, _targets(plain, arrays))
    return found


def _survey(parts: Parts, found: Mapping[str, Any]) -> Survey:
    plain, n = parts.plain, len(found["design_weights"])
    members = {
        name: Entity(
            parts.tables[f"members.{name}"],
            parts.arrays[f"members.{name}"],
            f"members[{name!r}]",
            None,
        )
        for name in plain["members"]
    }
    return Survey(
        records=Entity(parts.tables[_RECORDS], np.arange(n), _RECORDS, None),
        members=members,
        key=found["key"],
        weight=found["weight"],
        keys=found["keys"],
        weights=found["design_weights"] if plain["weighted"] else None,
        order=found["record_order"],
        kind=found["kind"],
        n_dropped=found["n_dropped"],
    )


def _targets(plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Targets:
    return Targets(
        names=plain["target_names"],
        statements=list(map(_statement, plain["targets"])),
        groups=plain["target_groups"],
        importance=arrays["target_importance"],
        tolerance=arrays["target_tolerance"],
        grouped=plain["grouped"],
    )


def _statement(of: Mapping[str, Any]) -> Statement:
    """Make a statement of what JSON has of it: lists in place of tuples."""
    labels: Sequence[Any] = [tuple(pair) for pair in of["labels"]]
    return Statement(**{**of, "labels": tuple(labels), "within": tuple(of["within"])})


def _types(name: str, of: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ColumnTypes:
    labels = [
        Labels(column, arrays[f"codes.{name}.{place}"], levels)
        for place, (column, levels) in enumerate(of["labels"])
    ]
    return ColumnTypes(labels, of["amounts"])


def _of_matrix(name: str, matrix: sp.csr_array) -> dict[str, NDArray[Any]]:
    return {f"{name}.{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def _matrix(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, int]) -> sp.csr_array:
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    return sp.csr_array(parts, shape=shape)
