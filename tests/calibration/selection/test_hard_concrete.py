import numpy as np
import pytest
import torch

from l0.calibration import HardConcreteGates
from tests.calibration import problems


def test_it_selects_better_than_chance():
    problem = problems.problem(n=600, m=60)
    loss = {
        method: problem.solve(60, method, epochs=200).metrics["loss"]
        for method in ("hard_concrete", "random")
    }
    assert loss["hard_concrete"] < 0.5 * loss["random"]


def test_the_budget_is_met_by_the_gates_and_not_by_the_cut_alone():
    listened = []
    context = problems.context(problems.problem(n=600), epochs=300, listener=listened.append)
    HardConcreteGates().select(context, 120)
    open_gates = [state.n_records for state in listened]
    assert open_gates[-1] <= 1.25 * 120
    assert open_gates[0] > 300


def test_effort_multiplies_the_epochs():
    listened = []
    context = problems.context(problems.problem(n=50), epochs=32, listener=listened.append)
    HardConcreteGates(effort=0.5).select(context, 10)
    assert listened[-1].iteration == 16


def test_it_draws_from_the_generator_of_the_task():
    problem = problems.problem()
    one, same, other = (
        HardConcreteGates().select(problems.context(problem, epochs=20, seed=seed), 50)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.base, same.base)
    assert not np.array_equal(one.base, other.base)


@pytest.mark.parametrize("bounds", [(0, 4.0), (2, 6.0)])
def test_it_selects_within_the_bounds(bounds):
    context = problems.context(problems.problem(), bounds=bounds, epochs=100)
    assert HardConcreteGates().select(context, 60).base.max() <= bounds[1] * (1 + 1e-6)


def test_each_candidate_keeps_its_own_bounds():
    highest = np.linspace(1.01, 3, 300)
    candidates = np.arange(7, 300, 2)
    context = problems.context(
        problems.problem(), bounds=(None, highest), epochs=100, candidates=candidates
    )
    found = HardConcreteGates().select(context, 60)
    assert np.isin(found.records, candidates).all()
    assert (found.base <= highest[found.records] * (1 + 1e-6)).all()


def test_what_it_selects_within_the_bounds_fits_together():
    loss = [
        problems.problem(n=1000, m=40, kept=100, seed=seed)
        .solve(100, "hard_concrete", bounds=(5, 15), epochs=200)
        .metrics["loss"]
        for seed in range(4)
    ]
    assert np.mean(loss) < 0.004  # 0.008 where it selects without bounds


def test_the_default_dtype_does_not_matter():
    def select():
        return HardConcreteGates().select(problems.context(problems.problem(), epochs=20), 50)

    expected = select()
    torch.set_default_dtype(torch.float64)
    try:
        found = select()
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found.records, expected.records)
    np.testing.assert_array_equal(found.base, expected.base)
