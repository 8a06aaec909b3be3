import numpy as np
import pytest

from l0.linear_model.bounded_swap import BoundedSwap
from l0.linear_model.group_swap import GroupSwap
from l0.linear_model.problem import Problem
from l0.linear_model.swap import Swap
from tests.linear_model.problems import GROUPS, stated


def test_what_is_fixed_stays():
    fixed = Problem(stated(0)[0].statistics, kept=np.array([5, 1]))
    now = fixed.swap_from(np.array([5, 1, 3]))
    assert np.isinf(now.drops()[:2]).all() and np.isfinite(now.drops()[2])
    assert now.best_swap()[1] == 2


def test_a_part_of_a_problem_is_the_same_problem():
    for kind in ("columns", "groups"):
        whole = stated(1, kind, 0.2)[0]
        units = np.array([1, 3, 4])
        part = whole.restricted(units)
        assert part.swap_from(np.array([0, 2])).value == pytest.approx(
            whole.swap_from(units[[0, 2]]).value
        )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("columns", Swap), ("groups", GroupSwap), ("nonnegative", BoundedSwap)],
)
def test_each_kind_has_its_own_swaps(kind, expected):
    problem, _, _ = stated(0, kind)
    assert type(problem.swap_from(np.array([1, 3]))) is expected
    assert problem.n_units == (len(GROUPS) if kind == "groups" else 9)
    columns = [1, 2, 4, 5, 6] if kind == "groups" else [1, 3]
    assert problem.columns(np.array([1, 3])).tolist() == columns


@pytest.mark.parametrize("kind", ["columns", "groups", "nonnegative"])
def test_another_ridge_is_the_problem_stated_with_it(kind):
    chosen = np.array([0, 2])
    changed = stated(0, kind, l2=0.1)[0].with_l2(0.7).swap_from(chosen)
    fresh = stated(0, kind, l2=0.7)[0].swap_from(chosen)
    assert changed.value == pytest.approx(fresh.value)
    np.testing.assert_allclose(changed.adds(), fresh.adds())


def test_kept_units_are_numbered_anew_with_the_others():
    problem, _, _ = stated(0, kept=[5, 1])
    part = problem.restricted(np.array([1, 4, 5]))
    assert part.kept.tolist() == [2, 0]
    assert part.n_units == 3
