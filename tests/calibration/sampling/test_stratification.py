import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.calibration.sampling.stratification import (
    NARROWEST,
    FeatureStratification,
    SharedTargetsStratification,
)
from tests.calibration import problems

TARGETS = pd.DataFrame({"variable": ["count"], "value": [100.0]})


def problem(records):
    return CalibrationProblem.from_frames(records, TARGETS, key="id")


def stretches(order, n_stretches):
    """Number the stretch of the order that each record falls in."""
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    return place * n_stretches // len(order)


def spread_within(values, stretch):
    return pd.Series(values).groupby(stretch).var().mean() / np.var(values)


@given(
    n=st.integers(1, 30),
    columns=st.sets(st.sampled_from(["text", "flag", "amount", "constant"])),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_every_record_has_one_place(n, columns, seed):
    generator = np.random.default_rng(seed)
    everything = {
        "text": generator.choice(["a", "b", None], n),
        "flag": generator.random(n) < 0.5,
        "amount": generator.choice([-1.0, 0.0, 2.5, np.nan, np.inf], n),
        "constant": np.zeros(n),
    }
    records = pd.DataFrame({"id": range(n), **{name: everything[name] for name in columns}})
    probabilities = generator.choice([0.0, 1e-12, 0.2, 1.0], n)
    order = problem(records).stratification(probabilities)
    assert sorted(order.tolist()) == list(range(n))
    assert order.dtype == np.int64


def test_rows_in_any_order_are_ordered_alike(survey):
    probabilities = np.linspace(0.01, 0.4, 400)
    one = CalibrationProblem.from_frames(**survey.options())
    two = CalibrationProblem.from_frames(
        **survey.options(lambda frame, _: frame.sample(frac=1, random_state=3))
    )
    np.testing.assert_array_equal(
        one.stratification(probabilities), two.stratification(probabilities)
    )


def test_the_column_of_most_levels_divides_first(survey):
    ordering = CalibrationProblem.from_frames(**survey.options()).stratification
    states = survey.households.sort_values("household")["state"].to_numpy()
    ordered = states[ordering(np.full(400, 0.2))]
    assert (ordered[1:] != ordered[:-1]).sum() == 3


def test_alike_records_stand_together(survey):
    ordering = CalibrationProblem.from_frames(**survey.options()).stratification
    households = survey.households.sort_values("household")
    stretch = stretches(ordering(np.full(400, 0.2)), 80)
    for values in (
        np.minimum(households["income"], households["income"].quantile(0.95)),
        households["owner"].astype(float),
        (households["band"] == "low").astype(float),
    ):
        assert spread_within(values.to_numpy(), stretch) < 0.95  # 1 in an order by chance


def test_a_column_of_many_levels_is_no_burden():
    generator = np.random.default_rng(0)
    n = 3000
    records = pd.DataFrame(
        {
            "id": range(n),
            "county": generator.choice([f"county {i}" for i in range(900)], n),
            "job": generator.choice([f"job {i}" for i in range(800)], n),
            "amount": generator.lognormal(0, 1, n),
        }
    )
    order = problem(records).stratification(np.full(n, 0.02))
    assert sorted(order.tolist()) == list(range(n))


def test_of_many_columns_those_that_vary_most_are_used(monkeypatch):
    generator = np.random.default_rng(0)
    n = 600
    flat = {f"flat {i}": 1 + 1e-3 * generator.random(n) for i in range(5)}
    half = np.where(generator.random(n) < 0.5, 1.0, 0.0)
    records = pd.DataFrame({"id": range(n), "half": half, **flat})
    monkeypatch.setattr("l0.calibration.sampling.stratification.FEATURES", 1)
    ordered = half[problem(records).stratification(np.full(n, 2 / n))]
    assert (ordered[1:] != ordered[:-1]).sum() == 1


def test_a_sample_is_balanced_on_all_amounts_and_levels(survey):
    households = survey.households.sort_values("household")
    q = np.full(400, 0.2)
    features = CalibrationProblem.from_frames(**survey.options()).stratification.features(q)
    assert features.dtype == np.float32
    assert np.abs(features).max() <= 1
    income = np.minimum(households["income"] / households["income"].quantile(0.95), 1)
    assert np.abs(features - income.to_numpy(np.float32)).max(axis=1).min() < 1e-6
    for column in ("state", "band", "owner"):
        for level in households[column].unique():
            there = (households[column] == level).to_numpy()
            assert any(np.ptp(row[there]) == 0 and not row[~there].any() for row in features)


def test_the_features_of_largest_variance_come_first(survey, monkeypatch):
    q = np.linspace(0.01, 0.4, 400)
    stratification = CalibrationProblem.from_frames(**survey.options()).stratification
    features = stratification.features(q)
    mean = features @ q / q.sum()
    variance = (features - mean[:, None]) ** 2 @ q
    assert (np.diff(variance) <= 1e-6 * variance.max()).all()
    monkeypatch.setattr("l0.calibration.sampling.stratification.BALANCED", 3)
    np.testing.assert_array_equal(stratification.features(q), features[:3])


def test_records_without_columns_have_no_features():
    features = problem(pd.DataFrame({"id": range(5)})).stratification.features(np.full(5, 0.4))
    assert features.shape == (0, 5)


def test_within_a_leaf_records_stand_by_an_amount_not_by_an_indicator():
    records = pd.DataFrame(
        {"id": range(6), "a": list("xxxyyy"), "amount": [3.0, 1, 2, 6, 4, 5], "b": list("pqppqp")}
    )
    order = problem(records).stratification(np.full(6, 0.1))  # too few draws to cut a group
    assert order.tolist() == [1, 2, 0, 4, 5, 3]


# A table of numbers


@given(
    features=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 30)),
        elements=st.sampled_from([0.0, 1.0, -2.5]),
    ),
    share=st.sampled_from([1e-12, 0.2, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_every_row_of_numbers_has_one_place(features, share):
    n = features.shape[1]
    order = FeatureStratification(features)(np.full(n, share))
    assert sorted(order.tolist()) == list(range(n))
    assert order.dtype == np.int64


def test_alike_rows_of_numbers_stand_together():
    features = np.random.default_rng(0).normal(size=(3, 2000)).astype(np.float32)
    stretch = stretches(FeatureStratification(features)(np.full(2000, 0.1)), 200)
    for feature in features:
        assert spread_within(feature, stretch) < 0.3  # 1 in an order by chance


def test_rows_of_numbers_are_balanced_on_the_most_variable_features(monkeypatch):
    given = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    given[1] *= 5
    given[0] *= 2
    stratification = FeatureStratification(given)
    np.testing.assert_array_equal(stratification.features(np.full(50, 0.1)), given[[1, 0, 2]])
    monkeypatch.setattr("l0.calibration.sampling.stratification.BALANCED", 1)
    np.testing.assert_array_equal(stratification.features(np.full(50, 0.1)), given[[1]])


# A bare matrix


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 8)),
        elements=st.sampled_from([0.0, 1.0, -2.0]),
    )
)
@settings(deadline=None)
def test_records_of_a_matrix_are_sorted_by_their_narrowest_targets(entries):
    m, n = entries.shape
    order = SharedTargetsStratification(sp.csr_array(entries))(np.full(n, 0.5))
    assert sorted(order.tolist()) == list(range(n))
    width = (entries != 0).sum(axis=1)
    by_width = sorted(range(m), key=lambda row: (width[row], row))

    def narrowest(record):
        rows = [row for row in by_width if entries[row, record] != 0][:NARROWEST]
        return rows + [m] * (NARROWEST - len(rows))

    assert order.tolist() == sorted(range(n), key=narrowest)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_records_of_one_district_stand_together(share):
    generator = np.random.default_rng(0)
    district = generator.integers(0, 20, 400)
    rows = np.concatenate([district, np.full(400, 20)])
    matrix = sp.csr_array((np.ones(800), (rows, np.tile(np.arange(400), 2))))
    ordered = district[SharedTargetsStratification(matrix)(np.full(400, share))]
    assert (ordered[1:] != ordered[:-1]).sum() == 19


def test_a_matrix_is_balanced_on_its_widest_targets(monkeypatch):
    entries = np.array([[0.0, 0, 0, 0], [2, 0, 0, 1], [-8, 4, 0, 2], [1, 1, 1, 1]])
    stratification = SharedTargetsStratification(sp.csr_array(entries))
    np.testing.assert_array_equal(
        stratification.features(np.full(4, 0.5)),
        [[1, 1, 1, 1], [-1, 0.5, 0, 0.25], [1, 0, 0, 0.5], [0, 0, 0, 0]],
    )
    monkeypatch.setattr("l0.calibration.sampling.stratification.BALANCED", 2)
    assert stratification.features(np.full(4, 0.5)).shape == (2, 4)


@pytest.mark.parametrize("unit", [1e39, 1e-46])
def test_the_unit_of_a_target_does_not_matter_to_its_balance(unit):
    matrix = problems.problem(m=4).matrix
    features = [
        SharedTargetsStratification(scaled).features(np.full(300, 0.1))
        for scaled in (matrix, unit * matrix)
    ]
    np.testing.assert_allclose(features[1], features[0], rtol=1e-6)
