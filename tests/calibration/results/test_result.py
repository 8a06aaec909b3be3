import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import l0
from l0.calibration import CalibrationProblem, CalibrationResult
from l0.common.errors import InputError
from tests.calibration import problems
from tests.data import odd_columns

NATIVE = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


def solve(**changes):
    given = problems.parts(n=120, m=8)
    given["names"][:3] = ['quoted "name", with commas', "é", "two\nlines"]
    statistics = np.random.default_rng(4).uniform(0, 1, (3, 120))
    problem = CalibrationProblem.from_matrix(**{**given, "untargeted": statistics, **changes})
    return problem.solve(30, epochs=24)


@pytest.fixture(scope="module")
def result():
    return solve()


# What it holds


def test_indices_values_and_weights_say_the_same(result):
    assert result.indices.dtype == np.int64
    assert result.values.dtype == np.float64
    assert result.weights.column_names == ["key", "weight"]
    np.testing.assert_array_equal(result.weights.column("weight"), result.values)
    np.testing.assert_array_equal(result.weights.column("key"), result.indices + 1000)


def test_tables_have_the_columns_that_are_promised(result):
    assert result.targets.column_names[:7] == [
        "name", "value", "estimate", "error", "relative_error", "group", "status",
    ]  # fmt: skip
    assert result.history.column_names == [
        "stage", "iteration", "n_records", "loss", "gap", "seconds",
    ]  # fmt: skip
    assert result.untargeted.column_names == [
        "statistic", "variable", "by", "reference", "estimate", "relative_error", "effective_n",
        "held_out", "trained",
    ]  # fmt: skip
    assert result.metrics["untargeted_capped_error"] >= 0
    assert list(result.metrics) == [
        "n_records", "n_candidates", "n_forced_out", "n_targets", "n_unreachable", "loss",
        "median_error", "max_error", "within_1pct", "within_10pct", "gap", "fit_status",
        "n_holdout", "holdout_median_error", "holdout_capped_error",
        "untargeted_median_error", "untargeted_capped_error", "represented_capped_error",
        "effective_sample_size", "design_effect", "max_weight_ratio", "top_1pct_weight_share",
        "seconds",
    ]  # fmt: skip


# Taking the chosen rows of a table


@pytest.mark.parametrize("kind", NATIVE)
def test_select_takes_the_chosen_rows_in_their_order(result, convert, kind):
    generator = np.random.default_rng(0)
    keys = generator.permutation(np.arange(990, 1130))
    table = convert(pd.DataFrame({"key": keys, "x": np.arange(140)}), kind)
    chosen = result.select(table)
    assert isinstance(chosen, NATIVE[kind])
    expected = problems.weights_by_key(result)
    kept = [key for key in keys.tolist() if key in expected]
    assert list(chosen["key"].to_numpy()) == kept
    assert list(chosen["weight"].to_numpy()) == [expected[key] for key in kept]
    assert list(chosen["x"].to_numpy()) == np.flatnonzero(np.isin(keys, kept)).tolist()


@pytest.mark.parametrize("kind", odd_columns.NAMES)
def test_select_keeps_columns_that_arrow_cannot_hold(result, kind):
    keys = np.random.default_rng(0).permutation(np.arange(1000, 1120))
    plain = pd.DataFrame({"key": keys, "w": 0.5, "x": np.arange(120)})
    frame = odd_columns.odd(kind, plain)
    expected = problems.weights_by_key(result)
    rows = [row for row, key in enumerate(keys.tolist()) if key in expected]
    chosen = result.select(frame, weight="w")
    assert type(chosen) is type(frame)
    assert list(odd_columns.cells(chosen, "w")) == [expected[keys[row]] for row in rows]
    for name in ["key", "x", *odd_columns.NAMES[kind]]:
        of = odd_columns.cells(frame, name)
        assert repr(odd_columns.cells(chosen, name)) == repr([of[row] for row in rows])
    if kind == "pandas":
        assert (chosen.dtypes == frame.dtypes).all()
        assert chosen.index.tolist() == list(range(30))
    else:
        assert chosen.schema == frame.schema


def test_write_writes_what_select_takes(result, tmp_path):
    frame = pd.DataFrame({"key": np.arange(1000, 1120), "x": np.linspace(0, 1, 120)})
    assert result.write(frame, tmp_path / "a.csv", "w") == []
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), result.select(frame, "w"))
    result.write(tmp_path / "a.csv", tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"`path`: '.*a.csv' is a file that is read; write to ano"):
        result.write(tmp_path / "a.csv", tmp_path / "a.csv")
    assert pa.parquet.read_table(tmp_path / "b.parquet").column_names == ["key", "x", "w", "weight"]


def test_write_leaves_nothing_behind_if_it_fails(result, tmp_path):
    frame = pl.DataFrame({"key": np.arange(1000, 1120), "x": [[1]] * 120})
    with pytest.raises(InputError, match=r"cannot hold the columns 'x \(.*list<"):
        result.write(frame, tmp_path / "a.csv")
    with pytest.raises(InputError, match="`path`: cannot write 'a.xpt': .xpt files are read only"):
        result.write(frame, "a.xpt")
    assert list(tmp_path.iterdir()) == []


def test_select_takes_lazy_frames(result):
    frame = pl.DataFrame({"key": np.arange(1000, 1120)})
    assert result.select(frame.lazy()).equals(result.select(frame))


def test_select_numbers_the_rows_of_pandas_anew_and_leaves_the_frame_alone(result):
    frame = pd.DataFrame({"key": np.arange(1000, 1120), "w": 1.0}, index=np.arange(120)[::-1] % 7)
    before = frame.copy()
    chosen = result.select(frame, weight="w")
    assert chosen.index.tolist() == list(range(30))
    np.testing.assert_array_equal(chosen["w"], result.values)
    pd.testing.assert_frame_equal(frame, before)


def test_numbers_as_names_of_columns_stay_numbers(tmp_path):
    homes = pd.DataFrame({0: range(6), 1: [10.0] * 6, 2: [1.0, 2.0] * 3})
    targets = pd.DataFrame({"variable": ["count", "2"], "value": [66.0, 99.0]})
    found = l0.calibrate(homes, targets, key="0", weight="1", integer_weights=True)
    chosen = found.select(homes)
    assert chosen.columns.tolist() == [0, 1, 2]
    assert chosen[1].tolist() == found.values.tolist()
    people = found.expand(homes)
    assert people.columns.tolist() == [0, 2, "copy"]
    assert people[0].value_counts().sort_index().tolist() == found.values.tolist()
    assert found.write(homes, tmp_path / "few.csv") == []
    assert pd.read_csv(tmp_path / "few.csv").columns.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize(("kind", "name"), odd_columns.EVERY_COLUMN)
def test_an_odd_column_is_no_key_to_select_by(result, kind, name):
    frame = odd_columns.odd(kind, pd.DataFrame({"x": range(120)}))
    table = frame.rename_columns if kind == "pyarrow" else frame.rename
    names = {name: "key"}
    if kind == "pyarrow":
        names = [names.get(each, each) for each in frame.column_names]
    renamed = table(columns=names) if kind == "pandas" else table(names)
    with pytest.raises(InputError, match=r"`table` (column 'key' cannot be the key: it is|has no)"):
        result.select(renamed)


def test_members_get_the_weight_of_their_record(result):
    persons = pa.table({"key": np.repeat(np.arange(1000, 1120), 3), "age": np.arange(360)})
    chosen = result.select(persons)
    assert chosen.num_rows == 90
    np.testing.assert_array_equal(chosen.column("weight"), np.repeat(result.values, 3))


def test_a_column_for_the_weight_is_replaced_or_named(result):
    table = pa.table({"weight": np.zeros(120), "key": np.arange(1000, 1120)})
    replaced = result.select(table, weight="weight")
    assert replaced.column_names == ["weight", "key"]
    np.testing.assert_array_equal(replaced.column("weight"), result.values)
    named = result.select(table, weight="w")
    assert named.column_names == ["weight", "key", "w"]
    np.testing.assert_array_equal(named.column("weight"), np.zeros(30))
    np.testing.assert_array_equal(named.column("w"), result.values)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(np.arange(1000, 1120), pa.int16()),
        pa.array(np.arange(1000, 1120), pa.uint64()),
        pa.array(np.arange(1000, 1120), pa.float64()),
        pa.array(np.arange(1000, 1120), pa.int32()).dictionary_encode(),
    ],
    ids=["int16", "uint64", "float64", "dictionary"],
)
def test_keys_of_another_type_are_compared_by_value(result, column):
    chosen = result.select(pa.table({"key": column}))
    np.testing.assert_array_equal(chosen.column("weight"), result.values)


def test_rows_without_a_key_are_left_out(result):
    table = pa.table({"key": pa.array([None, *result.weights.column("key").to_pylist()])})
    assert result.select(table).num_rows == 30


def test_text_keys(convert):
    names = [f"r{row:03}" for row in range(120)]
    result = solve(keys=names)
    chosen = result.select(convert(pd.DataFrame({"key": names}), "polars"))
    np.testing.assert_array_equal(chosen["weight"], result.values)


def test_what_cannot_be_selected_from_is_named(result):
    with pytest.raises(InputError, match="`table` has no column 'key' to use as the key"):
        result.select(pa.table({"id": [1, 2]}))
    with pytest.raises(
        InputError, match=r"no row of a chosen record in 'key' \(string; .* int64\)"
    ):
        result.select(pa.table({"key": [f"0{key}" for key in range(1000, 1120)]}))
    with pytest.raises(InputError, match="`table` is a list"):
        result.select([1, 2])


# The report


def test_the_report_is_a_file_of_its_own_too(result, tmp_path):
    path = tmp_path / "deep" / "report.html"
    result.to_html(path)
    assert "<html" in path.read_text(encoding="utf-8")
    assert list(Path(path.parent).iterdir()) == [path]


# Taking the chosen rows where the design weights had a name


def named(survey, **changes):
    return l0.calibrate(**{**survey.options(), **changes}, n_records=40, epochs=8)


@pytest.mark.parametrize("kind", NATIVE)
def test_the_new_weights_stand_where_the_design_weights_stood(survey, convert, kind):
    renamed = survey._replace(households=survey.households.rename(columns={"weight": "wgt"}))
    result = named(renamed, weight="wgt")
    chosen = result.select(convert(renamed.households, kind))
    columns = list(chosen.column_names if kind == "pyarrow" else chosen.columns)
    assert columns == list(renamed.households.columns)  # no second column of weights
    np.testing.assert_array_equal(np.asarray(chosen["wgt"]), result.values)
    assert "weight" in result.weights.columns


def test_members_that_carry_the_weight_get_the_new_one_too(survey):
    old = survey.households.set_index("household")["weight"]
    persons = survey.persons.assign(weight=survey.persons["household"].map(old))
    chosen = named(survey).select(persons)
    assert list(chosen.columns) == list(persons.columns)
    new = named(survey).weights.set_index("household")["weight"]
    np.testing.assert_array_equal(chosen["weight"], chosen["household"].map(new))
    assert (
        named(survey).select(survey.persons).columns == [*survey.persons.columns, "weight"]
    ).all()


def test_a_column_that_nobody_named_is_not_overwritten_unasked(survey):
    result = named(survey, weight=None)
    with pytest.raises(InputError, match="`table` has a column 'weight', and the calibration"):
        result.select(survey.households)
    assert "weight" in result.select(survey.households, weight="weight")
    assert "new" in result.select(survey.households, weight="new")
    assert "weight" in result.select(survey.persons)


def test_the_name_is_kept_on_disk(survey, tmp_path):
    renamed = survey._replace(households=survey.households.rename(columns={"weight": "wgt"}))
    result = named(renamed, weight="wgt")
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out", kind="pandas")
    pd.testing.assert_frame_equal(
        loaded.select(renamed.households), result.select(renamed.households)
    )


# Kinds of frames


@pytest.mark.parametrize("kind", NATIVE)
def test_paths_give_the_kind_that_is_asked_for(survey, convert, tmp_path, kind):
    files = survey.options(lambda frame, name: convert(frame, "parquet", name))
    result = l0.calibrate(**files, n_records=40, epochs=8, kind=kind)
    assert isinstance(result.weights, NATIVE[kind])
    assert isinstance(result.select(files["records"]), NATIVE[kind])
    assert isinstance(
        l0.frontier(**files, n_records=[40], epochs=8, kind=kind).to_frame(), NATIVE[kind]
    )
    result.save(tmp_path / "out")
    assert isinstance(CalibrationResult.load(tmp_path / "out", kind=kind).targets, NATIVE[kind])
    assert isinstance(CalibrationResult.load(tmp_path / "out").targets, pa.Table)


def test_an_unknown_kind_is_named(survey, result, tmp_path):
    text = "`kind` is 'numpy'; pass one of 'pandas', 'polars', 'pyarrow'"
    with pytest.raises(InputError, match=text):
        l0.calibrate(**survey.options(), kind="numpy")
    result.save(tmp_path / "out")
    with pytest.raises(InputError, match=text):
        CalibrationResult.load(tmp_path / "out", kind="numpy")


# What is shown


def test_printing_shows_a_table_and_no_arrays(result):
    text = str(result)
    assert len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) <= 80
    assert "Design weights" in text and "Mean error on targets" in text
    assert repr(result).startswith("<CalibrationResult: 30 of 120 records, 8 targets, loss ")


def test_the_summary_adds_what_was_missed_and_what_is_out_of_reach():
    A = np.vstack([np.ones(50), np.zeros(50), np.ones(50)])
    names = ["all", "<nobody>", "double"]
    problem = CalibrationProblem.from_matrix(A, [50, 10, 100], np.ones(50), names=names)
    result = problem.solve(10, "random", epochs=50)
    assert result.summary().startswith(str(result))
    assert "1 target is out of reach: <nobody> (no record behind it)" in result.summary()
    assert "Missed by most" in result.summary()


def test_a_notebook_shows_a_table(result):
    page = result._repr_html_()
    assert page.startswith("<table>") and "Mean untargeted error" in page


def test_the_weights_never_replace_the_keys(result):
    table = pa.table({"key": result.indices + 1000})
    with pytest.raises(InputError, match="`weight` is 'key', the key column"):
        result.select(table, weight="key")


@pytest.mark.parametrize("given", [3, pd.Series([1.0])])
def test_a_column_for_the_weight_is_given_by_its_name(result, given):
    table = pa.table({"key": result.indices + 1000})
    with pytest.raises(InputError, match="`weight` is an? .*; pass the name of a column"):
        result.select(table, weight=given)


# Trimming


def test_trimmed_weights_are_evaluated_again(result):
    upper = float(np.quantile(result.values, 0.8))
    trimmed = result.trim(upper=upper)
    assert trimmed.values.max() == upper < result.values.max()
    assert trimmed.values.sum() == pytest.approx(result.values.sum(), rel=1e-12)
    np.testing.assert_array_equal(trimmed.indices, result.indices)
    assert trimmed.weights.column("key") == result.weights.column("key")
    given = problems.parts(n=120, m=8)
    order = np.argsort(given["keys"])
    np.testing.assert_allclose(
        trimmed.targets.column("estimate"),
        (given["A"].toarray()[:, order[trimmed.indices]] @ trimmed.values),
        rtol=1e-12,
    )
    for name in ("value", "name", "importance", "design_estimate", "shadow_price"):
        assert trimmed.targets.column(name) == result.targets.column(name)
    assert trimmed.untargeted.column("estimate") != result.untargeted.column("estimate")
    assert trimmed.untargeted.column("reference") == result.untargeted.column("reference")
    assert trimmed.history == result.history
    assert trimmed.metrics["loss"] > result.metrics["loss"]
    ratios = trimmed.values / given["weights"][order[trimmed.indices]]
    assert trimmed.metrics["max_weight_ratio"] == pytest.approx(ratios.max())
    assert trimmed.metrics["fit_status"] == "trimmed"
    assert trimmed.metrics["seconds"] == result.metrics["seconds"]
    assert list(trimmed.metrics) == list(result.metrics)


def test_the_run_says_that_weights_were_trimmed(result, tmp_path):
    trimmed = result.trim(upper=2_000).trim(lower=20, upper=np.inf)
    assert trimmed.run["arguments"]["trim"] == [
        {"lower": None, "upper": 2_000},
        {"lower": 20, "upper": None},
    ]
    assert trimmed.run["call"].startswith(result.run["call"])
    assert trimmed.run["call"].endswith(
        "\nresult = result.trim(lower=None, upper=2000.0)"
        "\nresult = result.trim(lower=20.0, upper=None)"
    )
    assert "trim" not in result.run["arguments"]
    trimmed.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.run == trimmed.run
    np.testing.assert_array_equal(loaded.values, trimmed.values)
    assert "trimmed" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The weights were trimmed after the fit" in trimmed.summary()
    assert "trimmed" not in result.summary()


@pytest.mark.parametrize("way", ["load", "copy", "pickle"])
def test_a_result_without_its_problem_cannot_be_trimmed(result, tmp_path, way):
    result.save(tmp_path / "out")
    again = {
        "load": lambda: CalibrationResult.load(tmp_path / "out"),
        "copy": lambda: copy.copy(result),
        "pickle": lambda: pickle.loads(pickle.dumps(result)),
    }[way]()
    np.testing.assert_array_equal(again.values, result.values)
    with pytest.raises(InputError, match="does not contain the problem any more .*; calibrate ag"):
        again.trim(upper=1e6)


def test_wrong_limits_of_a_trimming_are_named(result):
    with pytest.raises(InputError, match="`upper` is 1, and the weights have the mean"):
        result.trim(upper=1)


def test_results_of_frames_can_be_trimmed(survey):
    renamed = survey._replace(households=survey.households.sample(frac=1, random_state=0))
    result = named(renamed)
    trimmed = result.trim(upper=float(result.values.max() * 0.9))
    kept = renamed.households.iloc[trimmed.indices]
    state = kept["state"].to_numpy() == "06"
    row = survey.targets.index[
        (survey.targets["state"] == "06")
        & (survey.targets["variable"] == "count")
        & (survey.targets["entity"] == "")
    ][0]
    assert trimmed.targets["estimate"][row] == pytest.approx(trimmed.values[state].sum())


# Whole weights


@pytest.fixture(scope="module")
def whole():
    given = problems.parts(n=120, m=8)
    return CalibrationProblem.from_matrix(**given).solve(30, epochs=24, integer_weights=True)


def whole_of(survey, **changes):
    return l0.calibrate(**survey.options(), **changes, n_records=40, epochs=8, integer_weights=True)


def test_whole_weights_are_integers_in_frames_and_files_and_floats_in_values(whole, tmp_path):
    assert whole.values.dtype == np.float64
    assert whole.weights.column("weight").type == pa.int64()
    whole.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out", kind="pandas")
    np.testing.assert_array_equal(loaded.values, whole.values)
    assert loaded.values.dtype == np.float64
    assert loaded.weights["weight"].dtype == np.int64
    assert loaded.metrics == whole.metrics
    assert "rounded to whole numbers" in (tmp_path / "out" / "report.html").read_text("utf-8")
    first = loaded.weights.to_csv(index=False).splitlines()[1]
    assert first == f"{loaded.weights['key'][0]},{loaded.values[0]:.0f}"


@pytest.mark.parametrize("kind", NATIVE)
def test_select_writes_whole_weights_as_integers(survey, convert, kind):
    chosen = whole_of(survey).select(convert(survey.households, kind))
    column = np.asarray(chosen["weight"])
    assert column.dtype == np.int64
    np.testing.assert_array_equal(column, whole_of(survey).values)


def test_whole_weights_cannot_be_trimmed(whole):
    with pytest.raises(InputError, match="`trim` does not keep whole weights; calibrate with `wei"):
        whole.trim(upper=1e6)


@pytest.mark.parametrize("kind", NATIVE)
def test_expanded_records_add_up_to_the_weighted_totals(survey, convert, kind):
    result = whole_of(survey)
    households = convert(survey.households, kind)
    population = result.expand(households)
    assert type(population) is type(households)
    chosen = result.select(survey.households)
    frame = pd.DataFrame({name: np.asarray(population[name]) for name in ("household", "copy")})
    np.testing.assert_array_equal(
        frame["household"], np.repeat(chosen["household"].to_numpy(), chosen["weight"])
    )
    assert not frame.duplicated().any()
    sizes = frame.groupby("household")["copy"].agg(["min", "max", "size"])
    assert (sizes["min"] == 1).all()
    assert (sizes["max"] == sizes["size"]).all()
    columns = list(population.column_names if kind == "pyarrow" else population.columns)
    assert columns == [name for name in survey.households.columns if name != "weight"] + ["copy"]
    for name in survey.households.select_dtypes("number").columns.difference(["weight"]):
        weighted = (chosen[name] * chosen["weight"]).sum()
        assert np.asarray(population[name]).sum() == pytest.approx(weighted)


def test_expanded_members_meet_their_records(survey):
    result = whole_of(survey)
    homes, persons = (result.expand(table) for table in (survey.households, survey.persons))
    chosen = result.select(survey.persons)
    assert len(persons) == chosen["weight"].sum()
    joined = persons.merge(homes, on=["household", "copy"], validate="many_to_one")
    assert len(joined) == len(persons)
    assert isinstance(persons.index, pd.RangeIndex)


def test_a_loaded_result_expands_a_path(survey, convert, tmp_path):
    result = whole_of(survey)
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out", kind="polars")
    population = loaded.expand(convert(survey.households, "parquet", "homes"))
    assert isinstance(population, pl.DataFrame)
    assert len(population) == result.values.sum()


def test_a_result_without_a_key_expands_by_row():
    problem = CalibrationProblem.from_matrix(np.eye(2), [3, 2], [1, 1])
    result = problem.solve(integer_weights=True)
    population = result.expand(pa.table({"x": ["a", "b"]}))
    assert population.to_pydict() == {"x": ["a", "a", "a", "b", "b"], "copy": [1, 2, 3, 1, 2]}
    with pytest.raises(InputError, match="`table` has 3 rows, and a result without a key needs"):
        result.expand(pa.table({"x": [1, 2, 3]}))


def test_a_result_without_a_key_refuses_its_table_in_another_order():
    homes = pa.table({"w": [1.0, 2.0, 3.0], "x": [1.0, 1.0, 1.0]})
    targets = pa.table({"variable": ["x"], "value": [6.6]})
    result = CalibrationProblem.from_frames(homes, targets, weight="w").solve()
    assert result.select(homes).num_rows == 3
    assert result.select(homes.drop_columns(["w"])).num_rows == 3
    with pytest.raises(
        InputError, match=r"other weights in 'w' .* in 2 rows \(0, 2\), .* without a key needs"
    ):
        result.select(homes.take([2, 1, 0]))


def test_cells_of_a_csv_file_have_their_type_in_other_files(tmp_path):
    (tmp_path / "a.csv").write_text("id,w,code,rent\n1,1,01,2.5\n2,1,10,\n3,1,07,7\n")
    targets = pa.table({"variable": ["count"], "value": [3.3]})
    problem = CalibrationProblem.from_frames(tmp_path / "a.csv", targets, key="id", weight="w")
    result = problem.solve()
    assert result.write(tmp_path / "a.csv", tmp_path / "b.parquet") == []
    written = pa.parquet.read_table(tmp_path / "b.parquet")
    assert written.drop_columns(["w"]).to_pydict() == {
        "id": [1, 2, 3], "code": ["01", "10", "07"], "rent": [2.5, None, 7.0],
    }  # fmt: skip
    (tmp_path / "c.csv").write_text("id,n\n3,1\n1,2\n1,3\n")
    assert result.write(tmp_path / "c.csv", tmp_path / "d.csv") == [
        "d.csv: 1 of the chosen records had no row in the table"
    ]


@pytest.mark.parametrize("kind", odd_columns.NAMES)
def test_expand_keeps_columns_that_arrow_cannot_hold(kind):
    frame = odd_columns.odd(kind, pd.DataFrame({"key": range(1000, 1120), "x": range(120)}))
    problem = CalibrationProblem.from_matrix(np.ones((1, 120)), [300], np.ones(120))
    result = problem.solve(integer_weights=True)
    population = result.expand(frame)
    assert type(population) is type(frame)
    rows = np.repeat(np.arange(120), result.values.astype(int))
    for name in ["key", "x", *odd_columns.NAMES[kind]]:
        of = odd_columns.cells(frame, name)
        assert repr(odd_columns.cells(population, name)) == repr([of[row] for row in rows])


def test_what_cannot_be_expanded_says_why(survey, result):
    with pytest.raises(InputError, match="not whole numbers; calibrate with `integer_weights=True"):
        result.expand(survey.households)
    of = whole_of(survey)
    rows = f"{of.values.sum():,.0f}"
    text = f"`expand` would make {rows} rows, and `max_rows` is 100; raise `max_rows`, or expand a"
    with pytest.raises(InputError, match=text):
        of.expand(survey.households, max_rows=100)
    assert len(of.expand(survey.households, max_rows=int(of.values.sum()))) == of.values.sum()
    with pytest.raises(InputError, match="`max_rows` must be an integer of at least 1, got 0"):
        of.expand(survey.households, max_rows=0)
    with pytest.raises(InputError, match="`table` has a column 'copy', the name of .*; rename it"):
        of.expand(survey.households.assign(copy=1))
    with pytest.raises(InputError, match="`table` has no row of a chosen record in 'household'"):
        of.expand(survey.households.assign(household=-1))
