import numpy as np
import pytest

from l0.linear_model.design import standardise
from l0.linear_model.group_swap import Groups
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Statistics
from tests.linear_model.problems import planted


def problem(seed, kind, l2):
    x, y, _ = planted(seed, n=40, p=9, noise=2.0)
    standardised = standardise(x, np.ones(40), True)
    statistics = Statistics.of(standardised.design, ((y - y.mean()) / 40**0.5)[:, None], l2)
    if kind == "groups":
        members = [np.array(m) for m in ([0], [1, 2], [3], [4, 5, 6], [7, 8])]
        return Problem(statistics, Groups.of(members, statistics))
    return Problem(statistics, nonnegative=kind == "nonnegative")


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["columns", "groups", "nonnegative"])
@pytest.mark.parametrize("seed", range(3))
def test_gains_and_losses_are_those_of_the_choice_afterwards(seed, kind, l2):
    stated = problem(seed, kind, l2)
    chosen = np.array([0, 2, 4])
    now = stated.exchange(chosen)

    def gain(units):
        return stated.exchange(np.array(units)).value - now.value

    for out in range(3):
        assert now.drops()[out] == pytest.approx(-gain(np.delete(chosen, out)), abs=1e-9)
    others = [unit for unit in range(stated.n_units) if unit not in chosen]
    after = {}
    for out in range(3):
        for new in others:
            after[out, new] = gain([*np.delete(chosen, out), new])
    found, out, new = now.best_swap()
    assert found == pytest.approx(max(after.values()), abs=1e-9)
    assert found == pytest.approx(after[out, new], abs=1e-9)
    if kind != "nonnegative":
        for new in others:
            assert now.adds()[new] == pytest.approx(gain([*chosen, new]), abs=1e-9)
        for (out, new), value in after.items():
            assert now.swaps()[out, new] == pytest.approx(value, abs=1e-9)


def test_what_is_fixed_stays():
    stated = problem(0, "columns", 0.0)
    fixed = Problem(stated.statistics, kept=np.array([5, 1]))
    now = fixed.exchange(np.array([5, 1, 3]))
    assert np.isinf(now.drops()[:2]).all() and np.isfinite(now.drops()[2])
    assert now.best_swap()[1] == 2


def test_a_part_of_a_problem_is_the_same_problem():
    for kind in ("columns", "groups"):
        whole = problem(1, kind, 0.2)
        units = np.array([1, 3, 4])
        part = whole.restricted(units)
        assert part.exchange(np.array([0, 2])).value == pytest.approx(
            whole.exchange(units[[0, 2]]).value
        )
