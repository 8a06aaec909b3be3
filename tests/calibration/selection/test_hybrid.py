from dataclasses import replace

import numpy as np
import pytest

from l0.calibration import CalibrationProblem, Hybrid, Path
from tests.calibration import problems


def capped_error_on_others(result, given, others):
    """Mean capped error on rows that are no target, against the design weights."""
    goal = others @ given["weights"]
    estimate = others[:, result.indices] @ result.values
    return np.minimum(np.abs(estimate / goal - 1), 1).mean()


def test_it_hits_the_targets_like_a_selection_and_represents_the_rest_better():
    given = problems.parts(n=2000, m=40)
    # Strata of forty columns that no target names.
    strata = np.random.default_rng(9).integers(0, 25, (40, 1, 2000))
    others = (strata == np.arange(25)[:, None]).reshape(1000, 2000).astype(float)
    problem = CalibrationProblem.from_matrix(**given)
    results = {
        method: problem.solve(200, method, epochs=100) for method in ("hybrid", "path", "pps")
    }
    untargeted = {
        method: capped_error_on_others(result, given, others) for method, result in results.items()
    }
    assert results["hybrid"].metrics["loss"] < 0.005
    assert untargeted["hybrid"] < 0.9 * untargeted["path"]
    sizes = {method: result.metrics["effective_sample_size"] for method, result in results.items()}
    assert sizes["hybrid"] > sizes["path"]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 1.0])
def test_the_share_is_drawn_and_the_rest_is_left_to_the_path(share):
    context = problems.context(problems.problem(n=400, m=5), epochs=60, full_file=True)
    left = []

    class Spy(Path):
        def walk(self, context, records, start, budgets, companions=None):
            left.append((len(companions.records), budgets))
            return super().walk(context, records, start, budgets, companions)

    selection = Hybrid(share=share, per_target=0, path=Spy()).select(context, 100)
    assert len(selection.records) == 100
    n_drawn = round(100 * share)
    assert left == ([] if share == 1 else [(n_drawn, [100 - n_drawn])])


def test_the_too_influential_are_never_drawn_not_even_to_fill_up():
    given = problems.parts(n=400, m=3)
    A = given["A"].toarray()
    A[0, 7] = 1e4 * A[0].sum()  # one record that would overshoot a target hundreds of times
    context = problems.context(
        CalibrationProblem.from_matrix(**{**given, "A": A}), epochs=60, full_file=True
    )

    class Nobody(Path):
        def walk(self, context, records, start, budgets, companions=None):
            yield records[: budgets[0]], np.zeros(budgets[0])

    for seed in range(10):
        again = replace(context, generator=np.random.default_rng(seed))
        selection = Hybrid(path=Nobody()).select(again, 300)
        assert len(np.unique(selection.records)) == 300
        assert 7 not in selection.records


def test_small_budgets_go_to_the_targets_first():
    problem = problems.problem(n=400, m=60)
    few, many = Hybrid(per_target=0), Hybrid(per_target=0.45)
    loss = {
        selector.per_target: problem.solve(40, selector, epochs=100).metrics["loss"]
        for selector in (few, many)
    }
    assert loss[0.45] < loss[0]


def test_base_weights_of_a_pure_draw_are_damped_horvitz_thompson_weights():
    context = problems.context(problems.problem(n=400, m=5), epochs=60, full_file=True)
    selection = Hybrid(share=1, per_target=0).select(context, 100)
    weights = context.full_file * context.problem.design_weights
    base = selection.base * context.problem.design_weights[selection.records]
    # With q = k w / sum w they all weigh the same: sum w / k.
    np.testing.assert_allclose(base, 0.9 * weights.sum() / 100, rtol=1e-6)


def test_records_that_would_overshoot_a_target_alone_are_not_drawn():
    given = problems.parts(n=400, m=8)
    A = given["A"].toarray()
    A[0] = 0
    A[0, [5, 200]] = [1.0, 1.0]  # two records hold a whole target
    given |= {"A": A, "values": A @ given["weights"]}
    problem = CalibrationProblem.from_matrix(**given)
    for seed in range(10):
        context = problems.context(problem, epochs=40, seed=seed, full_file=True)
        selection = Hybrid(share=1, per_target=0).select(context, 40)
        # One of them comes in for its target, with no more weight than the target needs.
        came_in = np.isin(selection.records, [5, 200])
        weight = selection.base[came_in] * given["weights"][selection.records[came_in]]
        assert weight == pytest.approx([given["values"][0]], rel=1e-6)


def test_records_are_drawn_along_the_order_of_the_problem():
    """The draw spreads over the kinds that the order tells apart."""
    A = np.kron(np.eye(10), np.ones((1, 50)))
    problem = CalibrationProblem.from_matrix(A, A @ np.ones(500), np.ones(500))
    context = problems.context(problem, epochs=20, full_file=True)
    selection = Hybrid(share=1, per_target=0).select(context, 100)
    np.testing.assert_allclose(np.bincount(selection.records // 50), 10, atol=1)


def with_another_target(values, importance):
    """Counts of two groups, and a target of amounts that only the first group has."""
    rng = np.random.default_rng(0)
    first = np.arange(400) % 2 == 0
    A = np.vstack([first, ~first, np.where(first, values, 0.0)])
    weights = rng.uniform(50, 150, 400)
    totals = A @ weights
    problem = CalibrationProblem.from_matrix(A, totals, weights)
    return first, replace(problem, importance=np.array(importance))


def n_drawn_of(group, problem, reachable=None):
    context = problems.context(problem, epochs=60, reachable=reachable, full_file=True)
    return group[Hybrid(share=1, per_target=0).select(context, 100).records].sum()


def test_a_target_that_does_not_count_does_not_steer_the_draw():
    first, problem = with_another_target(np.full(400, 1e6), [0.5, 0.5, 0.0])
    problem = replace(problem, values=problem.values * [1, 1, -1e-6])
    assert n_drawn_of(first, problem) == pytest.approx(50, abs=2)
    counted = replace(problem, importance=np.full(3, 1 / 3))
    reachable = np.array([True, True, False])
    assert n_drawn_of(first, counted, reachable) == pytest.approx(50, abs=2)


def test_a_small_rest_of_amounts_that_cancel_bars_nobody_from_the_draw():
    signs = np.where(np.arange(400) % 4 == 0, 1.0, -1.0)
    first, problem = with_another_target(1000 * signs, [1 / 3] * 3)
    problem = replace(
        problem, values=np.array([*problem.values[:2], 1e-3 * problem.absolute_totals[2]])
    )
    assert n_drawn_of(first, problem) == pytest.approx(50, abs=3)


def test_what_the_path_left_under_the_lower_bound_is_not_lifted_but_replaced():
    rng = np.random.default_rng(0)
    in_state = rng.integers(0, 6, 3000) == np.arange(6)[:, None]
    A = np.vstack([in_state, in_state * rng.lognormal(0, 1, 3000)])
    w0 = rng.uniform(80, 120, 3000)
    values = A @ w0 * np.repeat([1.05, 1.02], 6)
    problem = CalibrationProblem.from_matrix(A, values, w0)
    result = problem.solve(150, "hybrid", bounds=(10, 40), epochs=200)  # n / k is 20
    assert result.metrics["loss"] < 0.01


def test_it_says_which_records_were_drawn_and_in_which_order():
    context = problems.context(problems.problem(n=400, m=5), epochs=60, full_file=True)
    selection = Hybrid(share=0.5).select(context, 80)
    assert 40 <= selection.drawn.sum() < 80
    assert np.sort(selection.order).tolist() == list(range(400))
    assert Hybrid(share=1.0, per_target=0.0).select(context, 80).drawn is None
    assert not Path().select(context, 80).drawn.any()
