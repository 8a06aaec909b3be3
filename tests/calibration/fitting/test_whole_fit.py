import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import l0
from l0.calibration import CalibrationProblem
from l0.common.errors import InputError
from tests.calibration import problems


def small(n=200, mean=4.0, seed=0, m=12):
    """Make a problem whose design weights are near `mean`, so that rounding matters."""
    given = problems.parts(n=n, m=m, seed=seed)
    factor = mean / given["weights"].mean()
    return CalibrationProblem.from_matrix(
        **{**given, "values": given["values"] * factor, "weights": given["weights"] * factor}
    )


OPTIONS = [
    {},
    {"bounds": (0.4, 6.0)},
    {"weight_bounds": (1.5, 30.7)},
    {"weight_bounds": (2.0, 20.0)},
    {"bounds": (0.3, 8.0), "distance": "logit"},
    {"distance": "linear"},
    {"loss": "relative"},
    {"keep_total": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("n_records", [60, None])
def test_weights_are_whole_and_keep_the_count_the_sum_and_the_bounds(n_records, options):
    problem = small()
    fitted = problem.solve(n_records, epochs=50, **options)
    result = problem.solve(n_records, epochs=50, integer_weights=True, **options)
    assert len(result.values) == len(fitted.values) == (n_records or 200)
    assert (result.values == np.rint(result.values)).all()
    assert result.values.min() >= 1
    assert (result.values > 0).all()
    if (fitted.values > 0).all():  # without bounds, the linear distance can give negative weights
        assert result.values.sum() == np.rint(fitted.values.sum())
    np.testing.assert_array_equal(result.indices, fitted.indices)
    if "bounds" in options:
        low, high = options["bounds"]
        ratios = result.values / result.tables["weights"].column("design_weight").to_numpy()
        assert ratios.min() >= low
        assert ratios.max() <= high
    low, high = options.get("weight_bounds", (1, np.inf))
    assert result.values.min() >= low
    assert result.values.max() <= high
    assert result.metrics["fit_status"] == "rounded"
    assert result.metrics["loss"] < fitted.metrics["loss"] + 0.03


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), mean=st.floats(1.5, 50), n_records=st.integers(20, 90))
def test_the_promises_hold_for_any_problem(seed, mean, n_records):
    problem = small(n=100, mean=mean, seed=seed)
    fitted = problem.solve(n_records, method="pps", seed=seed)
    result = problem.solve(n_records, method="pps", seed=seed, integer_weights=True)
    whole = result.values
    assert len(whole) == n_records
    assert (whole == np.rint(whole)).all()
    assert whole.min() >= 1
    assert whole.sum() == np.rint(fitted.values.sum())


def test_the_estimates_and_metrics_are_those_of_the_whole_weights():
    problem = small()
    result = problem.solve(50, epochs=50, integer_weights=True)
    dense = problem.matrix.toarray()
    estimates = dense[:, np.argsort(problem.record_order)[result.indices]] @ result.values
    np.testing.assert_allclose(
        np.asarray(result.targets.column("estimate"))[problem.target_order.argsort().argsort()],
        estimates[problem.target_order.argsort()],
        rtol=1e-12,
    )
    size = result.values.sum() ** 2 / (result.values**2).sum()
    assert result.metrics["effective_sample_size"] == pytest.approx(size)


def test_large_weights_do_not_overflow():
    given = problems.parts(n=50, m=5)
    given = {**given, "values": given["values"] * 1e9, "weights": given["weights"] * 1e9}
    result = CalibrationProblem.from_matrix(**given).solve(integer_weights=True)
    assert 1 < result.metrics["effective_sample_size"] <= 50
    assert result.metrics["design_effect"] >= 1


def test_weights_that_are_whole_already_stay_and_are_not_called_rounded():
    problem = CalibrationProblem.from_matrix(np.eye(3), [3, 5, 7], [1, 1, 1])
    result = problem.solve(integer_weights=True)
    np.testing.assert_array_equal(result.values, [3, 5, 7])
    assert result.metrics["fit_status"] == "exact"
    assert result.run["notes"] == []


def test_weights_below_one_become_one_and_a_second_fit_makes_up_for_it():
    A = np.array([[1.0, 1, 1, 1], [3, 1, 1, 0]])
    problem = CalibrationProblem.from_matrix(A, [20, 17], [0.2, 9, 5, 5])
    assert problem.solve().values.min() < 1
    result = problem.solve(integer_weights=True)
    assert result.values.min() == 1
    assert result.values.sum() == 20
    assert result.run["notes"][0].startswith(
        "1 of 4 fitted weights was outside the whole numbers of at least 1 within the bounds. All "
        "weights were fitted again inside, with the same sum, which changed the mean error"
    )
    np.testing.assert_array_equal(A @ result.values, [20, 17])


def test_negative_weights_of_the_linear_distance_do_not_come_up():
    A = np.array([[1.0, 1, 1], [0, 5, 10]])
    problem = CalibrationProblem.from_matrix(A, [10, 8], [4, 4, 4])
    assert problem.solve(distance="linear").values.min() < 0
    assert problem.solve(distance="linear", integer_weights=True).values.min() >= 1


def test_more_records_than_the_total_are_impossible():
    problem = CalibrationProblem.from_matrix(np.ones((1, 30)), [15], np.full(30, 0.5))
    text = (
        r"`integer_weights=True`: whole weights of 20 chosen records add up to at least 20, and "
        r"the fitted weights to 15; keep fewer records \(`n_records`\), or leave `integer_weights`"
    )
    with pytest.raises(InputError, match=text):
        problem.solve(20, method="random", integer_weights=True)
    assert problem.solve(15, method="random", integer_weights=True).values.tolist() == [1] * 15


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (13, r"add up to at least 20, and the fitted weights to 13; keep .*, widen the bounds, or"),
        (26, r"add up to at most 20, and the fitted weights to 26; widen the bounds, or leave"),
    ],
)
def test_bounds_whose_whole_weights_cannot_have_the_sum(value, text):
    problem = CalibrationProblem.from_matrix(np.ones((1, 10)), [value], np.full(10, 2.0))
    with pytest.raises(InputError, match=text):
        problem.solve(integer_weights=True, weight_bounds=(1.1, 2.9))


def test_a_total_that_is_kept_is_rounded_and_said():
    problem = small(mean=4.001)
    total = problem.design_weights.sum()
    result = problem.solve(60, epochs=50, keep_total=True, integer_weights=True)
    assert result.values.sum() == np.rint(total)
    assert result.run["notes"][-1].startswith(
        "The weights add up to 800, the whole number nearest to the sum of all design weights, "
        "800.2"
    )


def test_records_that_a_total_of_zero_forces_out_stay_out():
    given = problems.parts(n=80, m=6)
    A = np.vstack([given["A"].toarray(), np.arange(80) < 5])
    problem = CalibrationProblem.from_matrix(A, [*given["values"], 0], given["weights"])
    result = problem.solve(integer_weights=True)
    assert result.indices.tolist() == list(range(5, 80))
    assert result.metrics["n_forced_out"] == 5
    assert result.values.min() >= 1


def test_the_order_of_the_rows_changes_nothing(survey):
    result = l0.calibrate(**survey.options(), n_records=40, epochs=8, integer_weights=True)
    order = np.random.default_rng(0).permutation(len(survey.households))
    mixed = survey._replace(
        households=survey.households.iloc[order],
        targets=survey.targets.sample(frac=1, random_state=0),
    )
    again = l0.calibrate(**mixed.options(), n_records=40, epochs=8, integer_weights=True)
    merged = result.weights.merge(again.weights, on="household", suffixes=("", "_again"))
    assert len(merged) == 40
    assert (merged["weight"] == merged["weight_again"]).all()


def test_the_unit_of_a_variable_changes_nothing():
    given = problems.parts(n=100, m=8)
    units = 2.0 ** np.arange(8)
    other = {**given, "A": given["A"].multiply(units[:, None]), "values": given["values"] * units}
    first, second = (
        CalibrationProblem.from_matrix(**each).solve(30, epochs=30, integer_weights=True)
        for each in (given, other)
    )
    np.testing.assert_array_equal(first.indices, second.indices)
    np.testing.assert_array_equal(first.values, second.values)


def test_a_frontier_has_whole_weights_too():
    problem = small()
    plain = problem.frontier([40, 80], epochs=50).table
    whole = problem.frontier([40, 80], epochs=50, integer_weights=True).table
    assert whole.column("fit_status").to_pylist() == ["rounded", "rounded"]
    assert whole.column("n_records").to_pylist() == [80, 40]
    assert whole.column("loss").to_pylist() != plain.column("loss").to_pylist()
    text = "whole weights of 199 chosen records add up to at least 199, and"
    with pytest.raises(InputError, match=text):
        small(mean=0.7).frontier([199], epochs=50, integer_weights=True)


def test_means_shares_and_limits_hold_for_whole_weights_nearly():
    rng = np.random.default_rng(0)
    homes = pa.table({
        "id": np.arange(300), "w": rng.uniform(5, 15, 300), "area": rng.choice(list("ab"), 300),
        "income": rng.lognormal(3, 0.5, 300),
    })  # fmt: skip
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 2_900.0},
            {"variable": "income", "statistic": "mean", "area": "a", "value": 22.0},
            {"variable": "count", "statistic": "share", "area": "a", "value": 0.45},
            {"variable": "income", "area": "b", "at_most": 30_000.0},
        ]
    )
    problem = CalibrationProblem.from_frames(homes, targets, key="id", weight="w")
    result = problem.solve(100, epochs=30, integer_weights=True)
    assert result.values.sum() == 2_900
    assert set(result.targets.column("status").to_pylist()) == {"met"}
    assert np.abs(result.targets.column("relative_error").to_numpy()).max() < 1e-3
