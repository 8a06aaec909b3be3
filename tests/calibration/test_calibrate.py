import hashlib
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from l0.calibration import CalibrationProblem, CalibrationResult, Hybrid, calibrate
from l0.common.errors import InputError
from tests.data import odd_columns

NATIVE = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


@pytest.mark.parametrize("kind", [*NATIVE, "parquet"])
def test_frames_go_out_as_they_came_in(survey, convert, kind):
    options = survey.options(lambda frame, name: convert(frame, kind, name))
    result = calibrate(**options, n_records=80, epochs=40)
    frame = NATIVE.get(kind, pa.Table)
    for table in (result.weights, result.targets, result.untargeted, result.history):
        assert isinstance(table, frame)
    same = calibrate(**survey.options(), n_records=80, epochs=40)
    np.testing.assert_array_equal(result.values, same.values)
    np.testing.assert_array_equal(result.indices, same.indices)


def test_the_weights_give_the_estimates_on_the_survey_itself(survey):
    result = calibrate(**survey.options(), n_records=150, epochs=200)
    assert result.metrics["loss"] < 0.1
    chosen = result.select(survey.households)
    assert chosen["household"].tolist() == survey.households["household"][result.indices].tolist()
    np.testing.assert_array_equal(chosen["weight"], result.values)
    persons = result.select(survey.persons)
    assert set(persons["household"]) <= set(chosen["household"])
    for target, row in zip(survey.targets.itertuples(), result.targets.itertuples(), strict=True):
        table = persons if target.entity == "person" else chosen
        inside = np.ones(len(table), dtype=bool)
        for label in ("state", "band", "age", "owner", "year"):
            level = getattr(target, label)
            if pd.notna(level):
                values = table.get(label)
                if values is None:  # a label of the record
                    of = survey.households.set_index("household")[label]
                    values = table["household"].map(of)
                inside &= (values == level).to_numpy()
        measure = 1.0 if target.variable == "count" else table[target.variable]
        estimate = (table["weight"] * measure)[inside].sum()
        assert row.value == target.value
        assert row.estimate == pytest.approx(estimate, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n_records", [None, 60])
@pytest.mark.parametrize("method", ["hybrid", "path"])
def test_a_target_of_0_for_a_level_without_records_is_met(survey, n_records, method):
    nobody = {"entity": "", "variable": "count", "state": "99", "value": 0.0}
    given = survey.options()
    given["targets"] = pd.concat([survey.targets, pd.DataFrame([nobody])], ignore_index=True)
    result = calibrate(**given, n_records=n_records, method=method, epochs=20)
    last = result.targets.iloc[-1]
    assert (last["status"], last["estimate"], last["relative_error"]) == ("met", 0, 0)
    given["targets"] = pd.DataFrame([nobody])
    assert calibrate(**given, epochs=4, n_records=n_records).targets["status"].tolist() == ["met"]
    given["targets"] = pd.DataFrame([{**nobody, "value": 1.0}])
    with pytest.raises(InputError, match="ask for '99' in column 'state'"):
        calibrate(**given, n_records=n_records)


@pytest.mark.parametrize("kind", odd_columns.NAMES)
def test_columns_that_nobody_uses_never_stop_a_run(survey, convert, kind):
    plain = survey.options(lambda frame, name: convert(frame, kind))
    given = {
        **plain,
        "records": odd_columns.odd(kind, survey.households),
        "members": {"person": odd_columns.odd(kind, survey.persons)},
    }
    result = calibrate(**given, n_records=80, epochs=8)
    assert len(result.indices) == 80
    persons = result.select(given["members"]["person"])
    assert len(odd_columns.cells(persons, odd_columns.NAMES[kind][0])) == len(persons)
    # With the odd columns that are labels or numbers the account of untargeted statistics grows.
    same = calibrate(**given, n_records=80, epochs=8)
    np.testing.assert_array_equal(result.values, same.values)


@pytest.mark.parametrize(("kind", "name"), odd_columns.EVERY_COLUMN)
def test_an_odd_column_is_named_where_a_target_uses_it(survey, kind, name):
    frame = odd_columns.odd(kind, survey.households[["household", "weight"]])
    counted = {"value": [40_000.0]}
    options = {"key": "household", "weight": "weight", "epochs": 1}
    if name not in ("half", "decimal", "wide decimal", "short decimal", "nothing"):
        with pytest.raises(
            InputError, match=rf"variable '{name}' .* .*, not a number.* in `records`"
        ):
            calibrate(frame, pd.DataFrame({"variable": [name], **counted}), **options)
    targets = pd.DataFrame({"variable": ["count"], name: ["a"], **counted})
    if name != "text view":
        with pytest.raises(
            InputError, match=rf"label '{name}' for .* is .*convert it to text|no row has|cannot"
        ):
            calibrate(frame, targets, **options)


def test_the_order_of_rows_does_not_matter(survey):
    one = calibrate(**survey.options(), n_records=80, epochs=40)
    other = calibrate(
        **survey.options(lambda frame, name: frame.sample(frac=1, random_state=5)),
        n_records=80,
        epochs=40,
    )
    ours = one.weights.set_index("household")["weight"].sort_index()
    theirs = other.weights.set_index("household")["weight"].sort_index()
    pd.testing.assert_series_equal(ours, theirs, rtol=1e-6)
    assert one.metrics["untargeted_capped_error"] == pytest.approx(
        other.metrics["untargeted_capped_error"]
    )


def test_it_is_the_problem_solved(survey):
    options = {"n_records": 60, "method": Hybrid(share=0.5), "epochs": 24, "seed": 3}
    result = calibrate(**survey.options(), **options, loss="relative", bounds=(0.5, 30))
    problem = CalibrationProblem.from_frames(**survey.options())
    solved = problem.solve(**options, loss="relative", bounds=(0.5, 30))
    np.testing.assert_array_equal(result.values, solved.values)
    assert result.run["arguments"] == solved.run["arguments"]


def test_the_run_says_where_the_inputs_came_from(survey, convert, tmp_path):
    options = survey.options(lambda frame, name: convert(frame, "csv", name))
    options["targets"] = survey.targets
    result = calibrate(**options, n_records=20, epochs=4)
    path = tmp_path / "households.csv"
    assert result.run["inputs"]["records"] == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert result.run["inputs"]["targets"] == {
        "frame": "pandas",
        "shape": list(survey.targets.shape),
    }
    assert (result.run["key"], result.run["weight"]) == ("household", "weight")
    assert json.loads(json.dumps(result.run, allow_nan=False)) == result.run


def test_a_result_of_frames_can_be_saved_and_loaded(survey, tmp_path):
    result = calibrate(**survey.options(), n_records=60, epochs=24)
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    for name, table in result.tables.items():
        assert loaded.tables[name].equals(table), name
    pd.testing.assert_frame_equal(loaded.select(survey.persons), result.select(survey.persons))


def test_without_a_key_records_are_known_by_row(survey):
    targets = survey.targets[survey.targets["entity"] == ""].drop(columns="age")
    result = calibrate(survey.households, targets, weight="weight", n_records=60, epochs=24)
    np.testing.assert_array_equal(result.weights["record"], result.indices)
    chosen = result.select(survey.households)
    np.testing.assert_array_equal(chosen["weight"], result.values)


@pytest.mark.parametrize("key", ["weight", "design_weight", "row"])
def test_a_key_named_like_a_column_of_the_result_is_an_error(survey, key):
    households = survey.households.drop(columns="weight").rename(columns={"household": key})
    with pytest.raises(InputError, match=f"`key` column '{key}'.*rename it"):
        calibrate(households, survey.targets, key=key)
