from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.refit import FULL_FILE_MU, calibrate_full_file, refit
from l0.calibration.fitting.selected import Selection
from l0.common.errors import InputError
from tests.calibration import problems
from tests.calibration.fitting import cases

seeds = st.integers(0, 2**32 - 1)


def fitted(problem, records=None, base=None, mu=0.1, gap=1e-8, **options):
    records = np.arange(problem.n_records) if records is None else records
    base = np.ones(len(records)) if base is None else base
    context = problems.context(problem, gap=gap, **options)
    return refit(context, Selection(records, base, mu))


def errors(problem, ratios):
    return problem.estimate(ratios * problem.design_weights) / problem.values - 1


# The objective


@pytest.mark.parametrize("loss", ["capped", "relative"])
@pytest.mark.parametrize("mu", [0.003, 0.1])
def test_a_small_move_of_any_ratio_makes_the_objective_worse(loss, mu):
    problem = problems.contradicting(n=80, m=6)
    records, base = np.arange(0, 80, 2), np.linspace(1.5, 2.5, 40)
    context = problems.context(problem, loss=loss, gap=1e-9)
    selection = Selection(records, base, mu)
    fit = refit(context, selection)
    program = cases.parts(cases.Case(context, selection, feasible=False), fit)
    q = fit.ratios / base
    assert fit.solution.objective == pytest.approx(program.primal(q))
    for direction in np.random.default_rng(0).normal(0, 1e-3, (40, 40)):
        assert program.primal(q * np.exp(direction)) > program.primal(q) * (1 - 1e-9)


@pytest.mark.parametrize("loss", ["capped", "relative"])
@pytest.mark.parametrize("tolerance", [0.0, 1e-4])
def test_weights_that_fit_stay_where_they_are(loss, tolerance):
    problem = problems.problem(n=60, m=5)
    base = np.linspace(0.5, 2, 60)
    problem = replace(
        problem,
        values=problem.estimate(base * problem.design_weights),
        tolerance=np.full(5, tolerance),
    )
    fit = fitted(problem, base=base, loss=loss)
    np.testing.assert_allclose(fit.ratios, base, rtol=1e-4)
    assert fit.solution.status == "exact"


def test_a_stronger_pull_stays_closer_to_the_base():
    problem = problems.contradicting(kept=100)

    def distance(mu):
        q = fitted(problem, np.arange(200), np.full(200, 1.5), mu).ratios / 1.5
        return (problem.design_weights[:200] * (q * np.log(q) - q + 1)).sum()

    assert distance(10.0) < distance(0.1) < distance(0.001)


@pytest.mark.parametrize("unit", [1e-4, 1e5])
@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_units_of_weights_and_targets_change_nothing(unit, seed):
    given = problems.parts(seed=seed, n=60, m=6)
    given["values"] = given["values"] * np.random.default_rng(seed).uniform(0.5, 2, 6)
    ratios = fitted(CalibrationProblem.from_matrix(**given)).ratios
    weights = {**given, "weights": unit * given["weights"], "values": unit * given["values"]}
    targets = {**given, "A": given["A"] * unit, "values": unit * given["values"]}
    for changed in (weights, targets):
        same = fitted(CalibrationProblem.from_matrix(**changed)).ratios
        np.testing.assert_allclose(same, ratios, rtol=1e-3, atol=1e-3)


def test_attainable_totals_are_met_to_the_last_digits():
    problem = problems.problem(n=300, m=20)
    fit = fitted(problem)
    assert np.abs(errors(problem, fit.ratios)).max() <= 1e-9
    assert (fit.solution.status, fit.at_limit.any()) == ("exact", False)


# Bounds, distances and the total


@pytest.mark.parametrize("distance", ["raking", "linear", "logit"])
@pytest.mark.parametrize("attainable", [True, False])
def test_ratios_are_positive_and_within_the_bounds(distance, attainable):
    problem = problems.problem() if attainable else problems.contradicting()
    base = np.linspace(0.1, 5, 100)
    fit = fitted(problem, np.arange(100), base, bounds=(0.7, 1.6), distance=distance, gap=1e-3)
    assert fit.ratios.min() >= 0.7 * (1 - 1e-12)
    assert fit.ratios.max() <= 1.6 * (1 + 1e-12)
    assert fit.solution.status != "stopped"


def test_the_linear_distance_is_negative_only_where_all_records_are_kept_without_bounds():
    A = np.vstack([np.ones(50), np.arange(50.0)])
    problem = CalibrationProblem.from_matrix(A, [5000, 5000 * 5], np.full(50, 100.0))
    assert fitted(problem, distance="linear", signed=True).ratios.min() < 0
    assert fitted(problem, distance="linear").ratios.min() > 0
    assert problem.solve(distance="linear").values.min() < 0
    assert problem.solve(distance="linear", bounds=(0, None)).values.min() > 0
    assert problem.solve(distance="linear", weight_bounds=(None, 1e9)).values.min() > 0
    assert problem.solve(40, distance="linear").values.min() > 0


def test_the_logit_distance_needs_bounds_on_both_sides():
    problem = problems.problem(n=30, m=2, density=0.8)
    for bounds in (None, (0.5, None)):
        with pytest.raises(InputError, match=r"`distance='logit'` needs bounds on both sides"):
            fitted(problem, distance="logit", bounds=bounds)
    for high in (1.0, 1 + 1e-15, 1 + 1e-10):
        with pytest.raises(InputError, match=r"`distance='logit'` needs bounds whose sides differ"):
            fitted(problem, distance="logit", bounds=(1.0, high))


@pytest.mark.parametrize("distance", ["raking", "linear", "logit"])
@pytest.mark.parametrize("attainable", [True, False])
def test_the_total_of_the_weights_is_kept(distance, attainable):
    problem = problems.problem() if attainable else problems.contradicting()
    bounds = (0.2, 5) if distance == "logit" else None
    fit = fitted(problem, distance=distance, keep_total=True, bounds=bounds, gap=1e-4)
    w0 = problem.design_weights
    assert fit.ratios @ w0 == pytest.approx(w0.sum(), rel=1e-12)
    free = fitted(problem, distance=distance, bounds=bounds, gap=1e-4)
    assert abs(free.ratios @ w0 / w0.sum() - 1) > 1e-4
    assert free.solution.objective <= fit.solution.objective * (1 + 1e-3)


def test_a_total_that_the_bounds_forbid_is_an_error():
    problem = problems.problem()
    text = r"`keep_total`: weights of 100 chosen records .* add up to at most 0\.\d+ times the sum"
    with pytest.raises(InputError, match=text):
        fitted(problem, np.arange(100), np.ones(100), keep_total=True, bounds=(0, 2))


# What the multipliers say


@pytest.mark.parametrize("loss", ["capped", "relative"])
@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_a_multiplier_is_what_a_larger_target_would_cost(loss, seed):
    problem = problems.problem(n=60, m=4, seed=seed, density=0.5)
    factor = np.random.default_rng(seed).uniform(0.3, 3, 4)
    problem = replace(problem, values=problem.values * factor)
    fit = fitted(problem, loss=loss, gap=1e-10)
    row, move = seed % 4, 1e-4
    scale = problem.scales  # the multipliers are in units of these
    costs = []
    for side in (-1, 1):
        values = problem.values.copy()
        values[row] += side * move * scale[row]
        moved = replace(problem, values=values)
        object.__setattr__(moved, "scales", scale)
        costs.append(fitted(moved, loss=loss, gap=1e-10).solution.objective)
    slope = (costs[1] - costs[0]) / (2 * move)
    assert slope == pytest.approx(fit.multipliers[row], rel=0.05, abs=1e-3)


def test_contradicting_targets_give_way_and_the_others_do_not():
    problem = problems.contradicting(n=100, m=5)  # the first two targets stand there twice
    fit = fitted(problem, mu=1e-3)
    twice = np.isin(np.arange(7), [0, 1, 5, 6])
    assert fit.solution.status == "optimal"
    assert fit.at_limit[[0, 5]].any()
    assert not fit.at_limit[~twice].any()
    assert fit.multipliers[0] * fit.multipliers[5] < 0


def test_a_target_that_none_of_the_records_moves_gives_way():
    problem = problems.problem(n=40, m=4, density=0.3)
    inside = np.flatnonzero(problem.matrix.toarray()[2])
    records = np.setdiff1d(np.arange(40), inside)
    fit = fitted(problem, records)
    assert fit.at_limit.tolist() == [False, False, True, False]
    assert fit.multipliers[2] == pytest.approx(0.25)
    assert fit.solution.status == "optimal"  # all others are met


def test_unreachable_targets_are_left_out():
    problem = problems.problem(n=60, m=5)
    wrong = replace(problem, values=problem.values * np.array([1, 1, -1, 1, 1]))
    reachable = np.arange(5) != 2
    fit = fitted(wrong, reachable=reachable)
    assert (fit.multipliers[2], fit.at_limit[2]) == (0, False)
    others = np.abs(errors(wrong, fit.ratios))[reachable]
    assert others.max() <= 1e-9


# The full file, and what is watched


def test_the_full_file_fits_and_leaves_most_weights_alone():
    problem = problems.problem(n=1000, m=10)
    context = problems.context(problem, full_file=True)
    assert np.abs(errors(problem, context.full_file)).max() <= 1e-9
    assert np.quantile(np.abs(np.log(context.full_file)), 0.9) < 0.2
    assert set(context.history.table().column("stage").to_pylist()) == {"full"}


def test_the_full_file_is_the_fit_of_all_candidates():
    problem = problems.problem()
    candidates = np.arange(0, 300, 2)
    context = problems.context(problem, candidates=candidates)
    fit = calibrate_full_file(context)
    same = refit(context, Selection(candidates, np.ones(150), FULL_FILE_MU))
    np.testing.assert_array_equal(fit.ratios, same.ratios)


@pytest.mark.parametrize("attainable", [True, False])
def test_each_iteration_is_a_snapshot_and_the_last_one_the_fit(attainable):
    make = problems.problem if attainable else problems.contradicting
    problem = make(n=50, m=4, density=0.8)
    context = problems.context(problem)
    fit = refit(context, Selection(np.arange(40), np.ones(40), 0.1))
    history = context.history.table().to_pylist()
    assert [row["iteration"] for row in history] == list(range(1, len(history) + 1))
    assert {row["stage"] for row in history} == {"refit"}
    assert {row["n_records"] for row in history} == {40}
    assert len(history) >= fit.solution.iterations
    assert history[-1]["gap"] == pytest.approx(fit.solution.gap)


# The cases that used to go wrong, with random variants


@pytest.mark.parametrize("distance", ["raking", "linear"])
@given(seed=seeds, size=st.floats(1e-10, 1), negative=st.booleans())
@settings(max_examples=15, deadline=None)
def test_signed_totals_of_any_size_are_met_at_hardly_any_cost(distance, seed, size, negative):
    rng = np.random.default_rng(seed)
    n = 400
    w, net = rng.uniform(50, 150, n), rng.normal(0, 1e4, n)
    value = (-1) ** negative * size * 1e6
    problem = CalibrationProblem.from_matrix(np.vstack([np.ones(n), net]), [40_000, value], w)
    fit = fitted(problem, distance=distance, mu=FULL_FILE_MU)
    estimate = problem.estimate(fit.ratios * w)
    gross = np.abs(net) @ w
    np.testing.assert_allclose(estimate, [40_000, value], rtol=1e-9, atol=1e-9 * gross)
    assert fit.solution.status == "exact"
    # The regression estimator meets both, too: no weights need to vary more.
    B = np.vstack([np.ones(n), net])
    linear = w * (1 + B.T @ np.linalg.solve(B * w @ B.T, [40_000, value] - B @ w))
    ess = [u.sum() ** 2 / (u @ u) for u in (w * fit.ratios, linear)]
    assert ess[0] >= 0.99 * ess[1]


@given(seed=seeds, importance=st.floats(1, 1e6), tolerance=st.sampled_from([0.0, 1e-3]))
@settings(max_examples=15, deadline=None)
def test_attainable_targets_are_met_whatever_their_importance(seed, importance, tolerance):
    rng = np.random.default_rng(seed)
    w, income = rng.uniform(50, 150, 400), rng.lognormal(10, 1, 400)
    A = np.vstack([np.ones(400), income, rng.integers(0, 4, 400) == 0])
    factor = np.array([1.0, rng.uniform(0.8, 2), rng.uniform(0.7, 1.3)])
    problem = CalibrationProblem.from_matrix(A, A @ w * factor, w)
    shares = np.array([importance, 1, 1])
    problem = replace(problem, importance=shares / shares.sum(), tolerance=np.full(3, tolerance))
    fit = fitted(problem, mu=FULL_FILE_MU)
    assert np.abs(errors(problem, fit.ratios)).max() <= tolerance + 1e-9


@given(seed=seeds, k=st.integers(10, 200), small=st.floats(0.1, 100))
@settings(max_examples=15, deadline=None)
def test_a_small_total_is_met_for_any_number_of_records(seed, k, small):
    rng = np.random.default_rng(seed)
    area = np.arange(k) % 4
    w = rng.uniform(50, 150, k)
    A = (area == np.arange(4)[:, None]).astype(float)
    problem = CalibrationProblem.from_matrix(A, [small, 12e3, 12e3, 12e3], w)
    fit = fitted(problem, base=np.full(k, 400 / k))
    np.testing.assert_allclose(problem.estimate(fit.ratios * w), problem.values, rtol=1e-9)


def test_zero_totals_of_signed_amounts_are_met():
    rng = np.random.default_rng(0)
    w, net = rng.uniform(50, 150, 200), rng.normal(5, 10, 200)
    problem = CalibrationProblem.from_matrix(np.vstack([np.ones(200), net]), [2e4, 0.0], w)
    estimate = problem.estimate(fitted(problem).ratios * w)
    np.testing.assert_allclose(estimate, [2e4, 0], rtol=1e-9, atol=1e-9 * (np.abs(net) @ w))


@given(seed=seeds, distance=st.sampled_from(["raking", "linear"]))
@settings(max_examples=10, deadline=None)
def test_weights_are_those_of_the_calibration_estimator(seed, distance):
    """Deville & Särndal 1992, equations 2.4 and 2.5, solved by another method."""
    from scipy.optimize import root

    rng = np.random.default_rng(seed)
    A = np.vstack([np.ones(80), rng.lognormal(0, 0.5, 80), rng.random(80) < 0.4]).astype(float)
    w = rng.uniform(50, 150, 80)
    totals = A @ (w * rng.uniform(0.7, 1.4, 80))
    inverse = np.exp if distance == "raking" else (lambda y: 1 + y)
    found = root(lambda lam: (A * w) @ inverse(A.T @ lam) / totals - 1, np.zeros(3), tol=1e-13)
    expected = inverse(A.T @ found.x)
    fit = fitted(CalibrationProblem.from_matrix(A, totals, w), distance=distance)
    np.testing.assert_allclose(fit.ratios, expected, rtol=1e-7)


@pytest.mark.parametrize(("m", "n"), [(301, 360), (320, 2000)])
def test_many_attainable_targets_are_met_too(m, n):
    rng = np.random.default_rng(0)
    A, weights = rng.random((m, n)), rng.uniform(50, 150, n)
    totals = A @ (weights * rng.lognormal(0, 0.3, n))
    result = CalibrationProblem.from_matrix(A, totals, weights).solve()
    assert result.metrics["fit_status"] == "exact"
    assert result.metrics["max_error"] <= 1e-9
