import json
from pathlib import Path

import numpy as np
import pytest

import l0
from l0.calibration import Hybrid, Solver
from l0.calibration.rerun import rerun
from l0.calibration.results.result import CalibrationResult
from l0.common.errors import InputError


@pytest.fixture
def files(survey, tmp_path):
    """The options of a run from files, of which a result is saved as `out`."""
    survey.households.to_parquet(tmp_path / "households.parquet")
    survey.persons.to_csv(tmp_path / "persons.csv", index=False)
    survey.targets.to_csv(tmp_path / "targets.csv", index=False)
    return {
        "records": tmp_path / "households.parquet", "targets": tmp_path / "targets.csv",
        "members": {"person": tmp_path / "persons.csv"}, "key": "household", "weight": "weight",
        "n_records": 40, "epochs": 30,
    }  # fmt: skip


def saved(tmp_path, options, trim=None):
    result = l0.calibrate(**options)
    result = result if trim is None else result.trim(upper=trim)
    result.save(tmp_path / "out")
    return result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "random", "seed": 3, "bounds": (None, 50), "weight_bounds": (1, "income")},
        {"represent": ["band", ("band", "owner")], "n_records": 200, "solver": Solver(gap=1e-2)},
        {"n_records": None, "represent": False, "distance": "linear"},
    ],
)
def test_a_run_from_files_gives_the_same_weights_again(files, tmp_path, options):
    saved(tmp_path, {**files, **options})
    result, comparison = rerun(tmp_path / "out" / "run.json")
    assert comparison.same
    k = len(result.values)
    assert comparison.sentences == [f"All {k} records and weights are the same."]


def as_numpy(value):
    """Numbers, flags and text as numpy has them."""
    if isinstance(value, dict):
        return {as_numpy(name): as_numpy(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_numpy, value))
    kinds = {bool: np.bool_, int: np.int64, float: np.float32, str: np.str_}
    return kinds.get(type(value), lambda each: each)(value)


def test_a_run_with_numbers_and_text_of_numpy_is_saved_and_repeated(files, tmp_path):
    plain = {
        "key": "household", "weight": "weight", "zero_weights": "error", "method": "hybrid",
        "n_records": 40, "epochs": 30, "seed": 3, "loss": "capped", "distance": "raking",
        "bounds": (0.25, "income"), "weight_bounds": (1.0, 9e6),
        "keep_total": True, "exact": False, "integer_weights": True, "check_scale": True,
        "represent": ["band", ("band", "owner")], "holdout": ["*earnings*"], "device": "cpu",
        "replicates": 6,
    }  # fmt: skip
    first = l0.calibrate(**{**files, **plain}, solver=Solver(gap=0.0078125, max_seconds=600.0))
    solver = Solver(gap=np.float32(0.0078125), max_seconds=np.int64(600))
    members = {np.str_("person"): files["members"]["person"]}
    given = {**files, **as_numpy(plain), "members": members, "solver": solver}
    result = saved(tmp_path, given)
    assert result.run["arguments"] == first.run["arguments"]
    assert result.run["call"] == first.run["call"]
    assert rerun(tmp_path / "out")[1].same


def test_quotas_zero_weights_and_trimming_are_repeated(files, survey, tmp_path):
    survey.households.loc[survey.households.index[:3], "weight"] = 0
    survey.households.to_parquet(tmp_path / "households.parquet")
    (tmp_path / "quotas.csv").write_text("state,min_records\n06,20\n")
    options = {"zero_weights": "drop", "quotas": tmp_path / "quotas.csv"}
    first = saved(tmp_path, {**files, **options}, trim=5_000)
    result, comparison = rerun(tmp_path / "out")
    assert comparison.same
    assert result.run["call"] == first.run["call"]


def test_what_differs_is_said_with_what_may_be_the_reason(files, tmp_path):
    first = saved(tmp_path, files)
    description = tmp_path / "out" / "run.json"
    run = json.loads(description.read_text())
    run["versions"] |= {"torch": "1.0", "gone": "2.0"}
    run["problem_sha256"] = "another"
    run["arguments"]["epochs"] = 5
    run["threads"] = 99
    description.write_text(json.dumps(run))
    result, comparison = rerun(description)
    assert not comparison.same
    common = len(np.intersect1d(first.indices, result.indices))
    text = " ".join(comparison.sentences)
    assert f"Of 40 chosen records, {common} are the same. The loss was " in text
    assert "Other versions: torch 1.0 -> " in text
    assert "gone 2.0 -> none" in text
    assert (
        "The matrix, the values or the design weights that the files give are others now." in text
    )
    assert "The run had 99 threads, and this one " in text


def test_weights_that_differ_are_measured(files, tmp_path):
    first = saved(tmp_path, {**files, "n_records": None})
    loaded = CalibrationResult.load(tmp_path / "out")
    weights = loaded.tables["weights"]
    doubled = weights.set_column(1, "weight", [first.values * 2])
    loaded.tables["weights"] = doubled
    loaded.save(tmp_path / "out")
    _, comparison = rerun(tmp_path / "out")
    assert not comparison.same
    assert "weights differ by up to 5.0e-01 of a weight" in comparison.sentences[0]


def test_a_file_that_has_changed_is_named(files, tmp_path):
    saved(tmp_path, files)
    with Path(files["targets"]).open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"the files '.*targets.csv' have changed since the run"):
        rerun(tmp_path / "out")


def test_a_file_that_was_moved_is_named(files, tmp_path):
    saved(tmp_path, files)
    Path(files["targets"]).rename(tmp_path / "elsewhere.csv")
    with pytest.raises(InputError, match=r"files '.*targets.csv' are not where the run read them"):
        rerun(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": Hybrid(share=0.5)}, "was made with 'method', which run.json describes and"),
        ({"bounds": (0, np.full(400, 90.0))}, "was made with 'bounds', which run.json describes"),
    ],
)
def test_objects_that_are_not_in_the_description_are_named(files, tmp_path, change, match):
    saved(tmp_path, {**files, **change})
    with pytest.raises(InputError, match=match):
        rerun(tmp_path / "out")


def test_a_run_from_frames_or_a_matrix_is_refused(files, survey, tmp_path):
    saved(tmp_path, {**files, "records": survey.households})
    with pytest.raises(
        InputError, match=r"from tables in memory \('records'\), and not from files"
    ):
        rerun(tmp_path / "out")
    problem = l0.CalibrationProblem.from_matrix(np.eye(2), [1, 2], [1, 1])
    problem.solve(epochs=1).save(tmp_path / "matrix")
    with pytest.raises(InputError, match="made from a matrix, and not from files"):
        rerun(tmp_path / "matrix")
