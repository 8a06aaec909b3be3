import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import l0
from l0.calibration import CalibrationProblem, Hybrid, Path, Solver
from l0.calibration.results.provenance import (
    describe_constraints,
    describe_limits,
    describe_run,
    describe_source,
    digest,
)
from tests.calibration import problems

ARGUMENTS = {"n_records": 10, "loss": "capped", "bounds": (0.5, None), "seed": 0}


@dataclass(frozen=True)
class Mine(Path):
    """A selector that somebody else wrote."""


def test_the_call_of_a_run_runs_and_passes_the_same():
    run = describe_run(problems.problem(), Hybrid(share=0.5, path=Path(depth=4)), ARGUMENTS)
    room = {}
    exec(run["call"].replace("problem.solve(", "dict("), room)  # noqa: S102
    assert room["result"] == {**ARGUMENTS, "method": Hybrid(share=0.5, path=Path(depth=4))}


def test_a_run_is_described_in_plain_numbers_and_text():
    of_numpy = {
        "n_records": np.int64(10), "loss": np.str_("capped"), "bounds": (np.float32(0.5), None),
        "seed": np.uint8(0),
    }  # fmt: skip
    problem = problems.problem()
    run = describe_run(problem, np.str_("path"), of_numpy)
    assert json.loads(json.dumps(run["arguments"])) == {
        **ARGUMENTS, "bounds": [0.5, None], "method": "path",
    }  # fmt: skip
    assert run == describe_run(problem, "path", ARGUMENTS)


@pytest.mark.parametrize("method", [Mine(), Hybrid(path=Mine())])
def test_an_object_of_the_caller_is_not_written_as_if_it_were_ours(method):
    call = describe_run(problems.problem(), method, ARGUMENTS)["call"]
    assert "an object of your own" in call and "method=method" in call
    assert "import Hybrid" not in call and "import Mine" not in call


def test_the_solver_of_a_run_is_written_as_code():
    settings = {"gap": 1e-6, "max_seconds": 2.5}
    run = describe_run(problems.problem(), "hybrid", {**ARGUMENTS, "solver": settings})
    room = {}
    exec(run["call"].replace("problem.solve(", "dict("), room)  # noqa: S102
    assert room["result"]["solver"] == Solver(gap=1e-6, max_seconds=2.5)
    assert run["arguments"]["solver"] == settings


def test_a_run_from_files_names_them_in_its_call(survey, convert, tmp_path):
    files = survey.options(lambda frame, name: convert(frame, "parquet", name))
    result = l0.calibrate(**files, n_records=40, epochs=4, device="cpu")
    room = {}
    exec(result.run["call"], room)  # noqa: S102
    np.testing.assert_array_equal(room["result"].values, result.values)


def test_a_run_is_plain_json(survey):
    run = l0.calibrate(**survey.options(), n_records=40, epochs=4, bounds=(None, 90)).run
    assert json.loads(json.dumps(run, allow_nan=False)).keys() == run.keys()


def test_limits_are_described_as_they_were_given():
    assert describe_limits(None) is None
    assert describe_limits((0, np.inf)) is None
    assert describe_limits([np.float32(0.5), np.inf]) == (0.5, None)
    assert describe_limits((None, "cap")) == (None, "cap")
    (low, high), again = (describe_limits(([1, 2, 3], pd.Series([4.0]))) for _ in range(2))
    assert (low, high) == again
    assert low["shape"] == [3] and high["shape"] == [1] and low["sha256"] != high["sha256"]


def test_an_array_of_limits_is_a_variable_in_the_call():
    limits = describe_limits((0.5, np.arange(1, 301)))
    run = describe_run(problems.problem(), "pps", {"bounds": limits, "seed": 0})
    assert json.loads(json.dumps(run))["arguments"]["bounds"] == list(limits)
    room = {"bounds_high": 7}
    exec(run["call"].replace("problem.solve(", "dict("), room)  # noqa: S102
    assert room["result"] == {"method": "pps", "bounds": (0.5, 7), "seed": 0}


def test_several_label_columns_in_a_tuple_are_in_the_call_as_they_are():
    columns = ("state", ("state", "age"), "sex")
    run = describe_run(problems.problem(), "pps", {"represent": columns})
    room = {}
    exec(run["call"].replace("problem.solve(", "dict("), room)  # noqa: S102
    assert room["result"] == {"method": "pps", "represent": columns}


def test_constraints_are_described_as_far_as_they_are_given():
    assert describe_constraints(None, None) == {}
    assert describe_constraints("kept", None) == {"must_keep": "kept"}
    keys = describe_constraints(np.array([3, 1]), pd.DataFrame({"min_records": [1]}))
    assert keys == {**describe_constraints([3, 1], None), "quotas": keys["quotas"]}
    assert keys["must_keep"]["shape"] == [2]
    lazy = describe_constraints(None, pl.LazyFrame({"min_records": [1]}))["quotas"]
    assert lazy == {"frame": "polars", "shape": [1, 1], "sha256": keys["quotas"]["sha256"]}
    others = describe_constraints(None, pd.DataFrame({"min_records": [2]}))["quotas"]
    assert others["sha256"] != lazy["sha256"]
    assert describe_constraints({3, 1}, None) == describe_constraints([1, 3], None)
    broken = [describe_constraints(keys, None) for keys in (["a\nb", "c"], ["a", "b\nc"])]
    assert broken[0] != broken[1]


def test_constraints_are_variables_in_the_call_unless_they_are_in_the_files(tmp_path):
    (tmp_path / "quotas.csv").write_text("area,min_records\nN,1\n")
    given = describe_constraints([3, 1], tmp_path / "quotas.csv")
    run = describe_run(problems.problem(), "pps", {**given, "seed": 0})
    assert json.loads(json.dumps(run))["arguments"]["must_keep"] == given["must_keep"]
    room = {"must_keep": 7}
    exec(run["call"].replace("problem.solve(", "dict("), room)  # noqa: S102
    path = str((tmp_path / "quotas.csv").resolve())
    assert room["result"] == {"method": "pps", "must_keep": 7, "quotas": path, "seed": 0}


def test_a_frame_is_described_by_its_kind_and_shape():
    assert describe_source(pd.DataFrame({"a": [1, 2]})) == {"frame": "pandas", "shape": [2, 1]}


def test_the_digest_is_that_of_the_content():
    problem = problems.problem()
    assert digest(problem) == digest(problems.problem())
    other = dataclasses.replace(problem, values=problem.values * 2)
    assert digest(other) != digest(problem)


def kinds(**changes):
    homes = pd.DataFrame({"w": [1.0, 2, 0, 4], "x": [1.0, 2, 3, 4]})
    target = {"variable": "x", "statistic": "mean", "value": 2.5, **changes}
    table = pd.DataFrame([{"variable": "count", "value": 7.0}, {**target, "name": "m"}])
    return CalibrationProblem.from_frames(homes, table, weight="w", zero_weights="drop")


def test_the_digest_is_that_of_the_kinds_too():
    others = [
        kinds(value=2.6),
        kinds(statistic="total"),
        kinds(value=None, at_least=2.5),
        kinds(value=None, at_most=2.5),
        kinds(statistic="ratio", denominator="count"),
    ]
    assert len({digest(each) for each in [kinds(), *others]}) == 6
    assert digest(kinds()) == digest(kinds())


def test_records_left_out_are_in_the_call_of_a_run():
    run = describe_run(kinds(), "pps", {"seed": 0})
    assert run["n_dropped"] == 1
    assert "    zero_weights='drop'," in run["call"].splitlines()
    assert "n_dropped" not in describe_run(problems.problem(), "pps", {})


def test_a_location_keeps_its_form_and_a_folder_has_the_digest_of_its_parts(tmp_path):
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    plain = describe_source(tmp_path / "a.csv")
    formed = describe_source(f"{tmp_path}/a.csv#separator=semicolon")
    assert formed == {**plain, "path": f"{plain['path']}#separator=semicolon"}
    folder = tmp_path / "parts"
    folder.mkdir()
    pa.parquet.write_table(pa.table({"x": [1]}), folder / "a.parquet")
    before = describe_source(folder)
    (folder / "_SUCCESS").touch()
    assert describe_source(folder) == before
    pa.parquet.write_table(pa.table({"x": [2]}), folder / "b.parquet")
    assert describe_source(folder) != before
