import numpy as np

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
    task = problems.task(problems.problem(n=600), epochs=300, listener=listened.append)
    HardConcreteGates().select(task, 120)
    open_gates = [state.n_records for state in listened]
    assert open_gates[-1] <= 1.25 * 120
    assert open_gates[0] > 300


def test_effort_multiplies_the_epochs():
    listened = []
    task = problems.task(problems.problem(n=50), epochs=32, listener=listened.append)
    HardConcreteGates(effort=0.5).select(task, 10)
    assert listened[-1].epoch == 16


def test_it_draws_from_the_generator_of_the_task():
    problem = problems.problem()
    one, same, other = (
        HardConcreteGates().select(problems.task(problem, epochs=20, seed=seed), 50)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.base, same.base)
    assert not np.array_equal(one.base, other.base)
