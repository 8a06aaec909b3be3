from dataclasses import fields

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem
from l0.common.errors import InputError

ORDERS = ("record_order", "target_order")


def assert_same_problem(one, other, but=()):
    """Equal to the last bit in every array."""
    for name in (field.name for field in fields(one)):
        if name in ("stratification", "untargeted", "inputs", "survey", "index", *but):
            continue
        a, b = getattr(one, name), getattr(other, name)
        if name == "matrix":
            assert a.shape == b.shape
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            assert a == b, name
    probabilities = np.full(one.n_records, 0.1)
    if one.stratification and "stratification" not in but:
        np.testing.assert_array_equal(
            one.stratification(probabilities), other.stratification(probabilities)
        )
    if one.untargeted and "untargeted" not in but:
        weights = one.design_weights * np.linspace(0, 2, one.n_records)
        tables = [
            problem.untargeted.compare(one.design_weights, weights) for problem in (one, other)
        ]
        assert tables[0].equals(tables[1])


# From frames


def test_every_kind_of_input_gives_the_same_problem(survey, convert, kind):
    reference = CalibrationProblem.from_frames(**survey.options())
    problem = CalibrationProblem.from_frames(
        **survey.options(lambda frame, name: convert(frame, kind, name))
    )
    assert problem.kind == (kind if kind in ("pandas", "polars") else "pyarrow")
    # Strings and integers of another width are other Arrow types, with the same keys.
    assert problem.keys.to_pylist() == reference.keys.to_pylist()
    assert_same_problem(problem, reference, but=("kind", "keys"))


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_give_the_same_problem(survey, seed):
    generator = np.random.default_rng(seed)
    targets = survey.targets.assign(
        group=["a", "b", "c"] * 7 + ["d"] * (len(survey.targets) - 21),
        importance=generator.uniform(0.1, 2, len(survey.targets)),
    )
    survey = survey._replace(targets=pd.concat([targets, targets.iloc[:3].assign(importance=5.0)]))
    reference = CalibrationProblem.from_frames(**survey.options())
    shuffled = CalibrationProblem.from_frames(
        **survey.options(lambda frame, _: frame.iloc[generator.permutation(len(frame))])
    )
    assert_same_problem(shuffled, reference, but=ORDERS)


def test_orders_lead_back_to_the_rows_that_came_in(survey):
    survey.targets["name"] = [f"t{place}" for place in range(len(survey.targets))][::-1]
    problem = CalibrationProblem.from_frames(**survey.options())
    rows = survey.households["household"].to_numpy()[problem.record_order]
    np.testing.assert_array_equal(rows, problem.keys.to_pylist())
    assert survey.targets["name"].to_numpy()[problem.target_order].tolist() == problem.names
    np.testing.assert_array_equal(
        survey.targets["value"].to_numpy()[problem.target_order], problem.values
    )


def test_the_estimate_is_the_weighted_sum(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    estimate = dict(zip(problem.names, problem.estimate(problem.design_weights), strict=True))
    households = survey.households
    weight = households["weight"]
    inside = (households["state"] == "36") & (households["band"] == "low")
    assert estimate["income by state=36, band=low"] == pytest.approx(
        (households["income"] * weight)[inside].sum()
    )
    persons = survey.persons.merge(households, on="household")
    inside = persons["state"] == "36"
    assert estimate["person count by state=36"] == pytest.approx(persons["weight"][inside].sum())
    assert estimate["count by owner=true"] == pytest.approx(weight[households["owner"]].sum())
    chosen = np.arange(0, 400, 7)
    np.testing.assert_allclose(
        problem.estimate(problem.design_weights[chosen], chosen),
        problem.matrix.toarray()[:, chosen] @ problem.design_weights[chosen],
    )


def test_a_target_of_zero_is_measured_against_the_survey(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    households = survey.households
    inside = households["year"] == 2021
    total = (households["wealth"].abs() * households["weight"])[inside].sum()
    scales = dict(zip(problem.names, problem.scales, strict=True))
    assert scales["wealth by year=2021"] == pytest.approx(1e-3 * total)
    assert (problem.scales > 0).all()


def test_a_record_split_in_two_says_the_same(survey):
    households = survey.households
    split = households.iloc[:50].assign(household=lambda half: half["household"] + 1000)
    persons = survey.persons.merge(split[["household"]] - 1000, on="household")
    halved = households.assign(
        weight=households["weight"].where(households.index >= 50, households["weight"] / 2)
    )
    other = survey._replace(
        households=pd.concat([halved, split.assign(weight=split["weight"] / 2)]),
        persons=pd.concat([survey.persons, persons.assign(household=persons["household"] + 1000)]),
    )
    one = CalibrationProblem.from_frames(**survey.options())
    two = CalibrationProblem.from_frames(**other.options())
    assert two.n_records == one.n_records + 50
    np.testing.assert_allclose(
        two.estimate(two.design_weights), one.estimate(one.design_weights), rtol=1e-12
    )
    np.testing.assert_allclose(two.scales, one.scales, rtol=1e-12)
    dense, keys = two.matrix.toarray(), two.keys.to_pylist()
    for key in split["household"].iloc[:5]:
        np.testing.assert_array_equal(dense[:, keys.index(key)], dense[:, keys.index(key - 1000)])


@given(factor=st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_of_a_target_only_scales_its_row(factor):
    records = pd.DataFrame({"x": [1.0, 2.0, -0.5]})
    targets = pd.DataFrame({"variable": ["x"], "value": [7.0]})
    one = CalibrationProblem.from_frames(records, targets)
    two = CalibrationProblem.from_frames(records * factor, targets.assign(value=7.0 * factor))
    for problem in (one, two):
        problem.matrix.data /= problem.scales[0]
    np.testing.assert_array_equal(one.matrix.toarray(), two.matrix.toarray())


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "parquet"])
def test_results_come_as_the_kind_that_came_in(survey, convert, kind):
    options = survey.options(lambda frame, name: convert(frame, kind, name))
    result = CalibrationProblem.from_frames(**options).solve(20, "random", epochs=2)
    expected = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(kind, pa.Table)
    for frame in (result.weights, result.targets, result.untargeted, result.history):
        assert isinstance(frame, expected)
    chosen = pa.array(result.weights["household"]).to_pylist()
    assert len(chosen) == 20
    assert set(chosen) <= set(survey.households["household"])


# Numbers no target uses


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_number_that_no_target_uses_does_no_harm(survey, bad):
    clean = survey.households.assign(note=np.where(survey.households.index < 200, 1.5, 0.0))
    spoilt = clean.assign(note=np.where(survey.households.index < 200, 1.5, bad))
    problems = [
        CalibrationProblem.from_frames(**survey._replace(households=households).options())
        for households in (clean, spoilt)
    ]
    # Statistics are over the records where the amount is known; the rest count as nothing.
    assert_same_problem(*problems)


def test_weights_are_even_where_none_are_given():
    records = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 0.0, 0.0]})
    targets = pd.DataFrame({"variable": ["count", "x", "y"], "value": [30.0, 60.0, 99.0]})
    problem = CalibrationProblem.from_frames(records, targets)
    np.testing.assert_allclose(problem.design_weights, 10.0)


@pytest.mark.parametrize("value", [1e-300, 1e300])
def test_even_weights_that_no_fit_can_compute_with_are_refused(value):
    targets = pd.DataFrame({"variable": ["count"], "value": [value]})
    with pytest.raises(InputError, match="`weight` is not given, and .* 1e.300 units"):
        CalibrationProblem.from_frames(pd.DataFrame({"x": [1.0]}), targets)


@pytest.mark.parametrize("method", ["hybrid", "path", "pps"])
@pytest.mark.parametrize(("one", "others"), [(1e50, 1e-50), (1e-50, 1e50), (1e50, 1e50)])
def test_the_most_extreme_weights_give_no_warnings(method, one, others):
    """A warning of numpy is an error here. Weights beyond gave results of infinities."""
    n = 60
    homes = pd.DataFrame({"w": np.linspace(1, 2, n) * others, "area": ["N", "S", "S"] * 20})
    homes["w"] = homes["w"].clip(1e-50, 1e50)
    homes["x"] = np.linspace(1, 3, n) ** 2
    homes.loc[3, "w"] = one
    totals = homes.groupby("area")["w"].sum().to_frame("value").assign(variable="count")
    result = CalibrationProblem.from_frames(homes, totals, weight="w").solve(20, method=method)
    assert np.isfinite([*result.values, result.metrics["loss"]]).all()


def test_no_weights_and_nothing_to_tell_them_from():
    records = pd.DataFrame({"x": [1.0, 2.0, -3.0]})
    targets = pd.DataFrame({"variable": ["x"], "value": [0.0]})
    with pytest.raises(InputError, match="`weight` is not given, and no target says how many"):
        CalibrationProblem.from_frames(records, targets)


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        ("records", "`records`: there is no file"),
        ("targets", "`targets`: there is no file"),
        ("members", r"`members\['person'\]`: there is no file"),
    ],
)
def test_a_file_that_does_not_exist_is_named(survey, argument, match):
    options = survey.options()
    options[argument] = {"person": "no.csv"} if argument == "members" else "no.csv"
    with pytest.raises(FileNotFoundError, match=match):
        CalibrationProblem.from_frames(**options)


# From a matrix

MATRIX = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])


@given(st.permutations(range(3)), st.permutations(range(2)))
def test_columns_and_rows_in_any_order_give_the_same_matrix_problem(columns, rows):
    def problem(columns, rows):
        return CalibrationProblem.from_matrix(
            MATRIX[rows][:, columns],
            np.array([1.0, 2.0])[rows],
            np.array([3.0, 4.0, 5.0])[columns],
            names=np.array(["b", "a"])[rows],
            groups=np.array(["g", "h"])[rows],
            keys=np.array(["z", "y", "x"])[columns],
            untargeted=MATRIX[:, columns],
        )

    assert_same_problem(problem(columns, rows), problem([0, 1, 2], [0, 1]), but=ORDERS)


def test_keys_of_a_matrix_that_are_nan_are_named():
    with pytest.raises(InputError, match="`keys` is null in 1 position"):
        CalibrationProblem.from_matrix(MATRIX, [1.0, 2.0], [1.0, 1.0, 1.0], keys=[1.0, np.nan, 2.0])


# What is shown


def test_printing_shows_the_size_and_the_targets_by_variable(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    assert repr(problem) == f"<CalibrationProblem: 400 records, {len(survey.targets)} targets>"
    text = str(problem)
    assert text == problem.summary() and text.startswith(repr(problem))
    counted = sum(int(line.split()[-3]) for line in text.splitlines()[-5:])
    assert counted == problem.n_targets
    assert {"income", "person count", "person earnings"} <= {
        line.rsplit(maxsplit=3)[0] for line in text.splitlines()[-5:]
    }
    assert "person earnings" in problem._repr_html_()


def test_targets_out_of_reach_are_counted_by_variable():
    problem = CalibrationProblem.from_matrix(np.array([[1.0, 1], [0, 0]]), [3, 4], [1, 1])
    assert str(problem).splitlines()[-1].split()[-1] == "1"
