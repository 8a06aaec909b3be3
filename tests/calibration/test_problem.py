from dataclasses import fields

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.errors import InputError

KINDS = ["pandas", "polars", "pyarrow", "parquet", "csv", "csv.gz"]
ORDERS = ("record_order", "target_order")


def assert_same_problem(one, other, but=()):
    """Equal to the last bit in every array."""
    for name in (field.name for field in fields(one)):
        if name in ("ordering", "auxiliary", *but):
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
    if one.ordering and "ordering" not in but:
        np.testing.assert_array_equal(one.ordering(probabilities), other.ordering(probabilities))
    if one.auxiliary and "auxiliary" not in but:
        weights = one.design_weights * np.linspace(0, 2, one.n_records)
        tables = [
            problem.auxiliary.compare(one.design_weights, weights) for problem in (one, other)
        ]
        assert tables[0].equals(tables[1])


# From frames


@pytest.mark.parametrize("kind", KINDS)
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
    assert scales["wealth by year=2021"] == pytest.approx(total)
    assert scales["wealth"] == 5000.0
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
    assert set(
        result.weights["household"].to_pylist()
        if expected is pa.Table
        else result.weights["household"].to_list()
    ) <= set(survey.households["household"])


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


def test_no_weights_and_nothing_to_tell_them_from():
    records = pd.DataFrame({"x": [1.0, 2.0, -3.0]})
    targets = pd.DataFrame({"variable": ["x"], "value": [0.0]})
    with pytest.raises(InputError, match="`weight` is not given, and no target tells how many"):
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


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64]),
        (3, 4),
        elements=st.integers(-3, 3),
    ),
    st.sampled_from([np.asarray, sp.csr_array, sp.coo_array, sp.csc_matrix]),
)
@settings(deadline=None)
def test_matrices_of_every_kind(entries, kind):
    problem = CalibrationProblem.from_matrix(kind(entries), [1.0, 2.0, 3.0], np.ones(4))
    np.testing.assert_array_equal(problem.matrix.toarray(), entries)
    assert problem.matrix.indices.dtype == np.int32
    assert problem.matrix.dtype == (np.float32 if entries.dtype == np.float32 else np.float64)
    assert problem.names == ["target 0", "target 1", "target 2"]
    assert problem.keys.to_pylist() == [0, 1, 2, 3]
    assert problem.auxiliary is None
    np.testing.assert_allclose(problem.importance, 1 / 3)


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
            auxiliary=MATRIX[:, columns],
        )

    assert_same_problem(problem(columns, rows), problem([0, 1, 2], [0, 1]), but=ORDERS)


def test_the_matrix_that_is_given_is_left_alone():
    shuffled = sp.csr_array(
        (np.array([2.0, 1.0, 1.0]), np.array([1, 0, 0]), np.array([0, 2, 3])), shape=(2, 2)
    )
    before = [shuffled.data.copy(), shuffled.indices.copy(), shuffled.indptr.copy()]
    problem = CalibrationProblem.from_matrix(shuffled, [1.0, 1.0], [1.0, 1.0])
    assert problem.matrix.has_sorted_indices
    for part, kept in zip(("data", "indices", "indptr"), before, strict=True):
        np.testing.assert_array_equal(getattr(shuffled, part), kept)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"A": np.ones(3)}, r"`A` has shape \(3,\); it needs two dimensions"),
        ({"A": np.ones((0, 3))}, r"`A` has shape \(0, 3\); it needs two dimensions, none empty"),
        ({"A": MATRIX * [[1], [np.nan]]}, r"`A` has NaN or infinite entries in 1 rows \(1\)"),
        ({"values": [1.0]}, r"`values` has shape \(1,\) for 2 rows of `A`"),
        ({"values": [1.0, np.inf]}, r"`values` is NaN or infinite at 1 positions \(1\)"),
        ({"weights": [1.0]}, r"`weights` has shape \(1,\) for 3 columns of `A`"),
        ({"weights": [1.0, np.nan, 1.0]}, r"`weights` is NaN or infinite at 1 positions \(1\)"),
        (
            {"weights": [1.0, 0.0, -1.0]},
            r"`weight.* has 2 zero or negative values \(records 1, 2\)",
        ),
        ({"names": ["a", "a"]}, r"`names` repeats 'a'; names must be unique"),
        ({"names": ["a"]}, r"`names` has 1 entries for 2 rows of `A`"),
        ({"groups": ["a"]}, r"`groups` has 1 entries for 2 rows of `A`"),
        ({"keys": [1, 2]}, r"`keys` has 2 entries for 3 columns of `A`"),
        ({"keys": [1, 2, 2]}, r"`keys` must be unique and not null"),
        ({"keys": [1.0, np.nan, 2.0]}, r"`keys` must be unique and not null"),
        ({"auxiliary": np.ones((1, 2))}, r"`auxiliary` has 2 columns where `A` has 3"),
        ({"auxiliary": np.full((1, 3), np.inf)}, r"`auxiliary` has NaN or infinite entries in 1"),
    ],
)
def test_bad_matrix_problems_are_named(change, match):
    with pytest.raises(InputError, match=match):
        CalibrationProblem.from_matrix(
            **{"A": MATRIX, "values": [1.0, 2.0], "weights": [1.0, 1.0, 1.0]} | change
        )
