from dataclasses import replace

import numpy as np
import pytest
import torch

from l0.calibration.fitting.distances import EntropyDistance
from l0.calibration.fitting.refit import refit
from l0.calibration.fitting.selected import Selection
from tests.calibration import problems


@pytest.mark.parametrize("mu", [0.003, 0.1])
def test_the_gradient_vanishes_at_the_end_on_a_smooth_objective(mu):
    """The condition of optimality, in float64, on a dense matrix."""
    problem = problems.problem(n=80, m=6)
    records = np.arange(0, 80, 2)
    base = np.linspace(1.5, 2.5, 40)
    context = problems.context(problem, loss="relative", epochs=1500)
    ratios = refit(context, Selection(records, base, mu))
    w0 = problem.design_weights[records]
    A = problem.matrix.toarray()[:, records] * w0 / problem.scales[:, None]
    share = base * w0 / (base @ w0)

    def gradient(u):
        datafit = 2 / 6 * (A @ u - 1) @ A * u
        return datafit + mu * share * (u / base) * np.log(u / base)

    assert np.abs(gradient(ratios)).max() < 2e-3 * np.abs(gradient(base)).max()


@pytest.mark.parametrize("loss", ["capped", "relative"])
def test_weights_that_fit_stay_where_they_are(loss):
    problem = problems.problem(n=60, m=5)
    base = np.linspace(0.5, 2, 60)
    problem = replace(
        problem,
        values=problem.estimate(base * problem.design_weights),
        tolerance=np.full(5, 1e-4),  # wider than rounding
    )
    context = problems.context(problem, loss=loss)
    ratios = refit(context, Selection(np.arange(60), base, 0.1))
    np.testing.assert_allclose(ratios, base, rtol=1e-5)


def test_a_stronger_pull_stays_closer_to_the_base():
    problem = problems.problem(kept=100)
    records, base = np.arange(200), np.full(200, 1.5)

    def distance(mu):
        ratios = refit(problems.context(problem), Selection(records, base, mu))
        q = torch.tensor(ratios / base).log()
        weight = torch.tensor(base * problem.design_weights[records])
        return EntropyDistance(torch.zeros(200), weight)(q).item()

    assert distance(10.0) < distance(0.1) < distance(0.001)


@pytest.mark.parametrize("epochs", [1, 3, 50])
def test_ratios_are_positive_and_within_the_bounds(epochs):
    context = problems.context(problems.problem(), bounds=(0.7, 1.6), epochs=epochs)
    ratios = refit(context, Selection(np.arange(100), np.linspace(0.1, 5, 100), 0.1))
    assert ratios.min() >= 0.7 * (1 - 1e-6)
    assert ratios.max() <= 1.6 * (1 + 1e-6)


def test_the_full_file_fits_and_leaves_most_weights_alone():
    problem = problems.problem(n=1000, m=10)
    context = problems.context(problem, full_file=True)
    ratios = context.full_file
    np.testing.assert_allclose(
        problem.estimate(ratios * problem.design_weights), problem.values, rtol=0.01
    )
    assert np.quantile(np.abs(np.log(ratios)), 0.9) < 0.2
    assert set(context.history.table().column("stage").to_pylist()) == {"full"}


@pytest.mark.parametrize("epochs", [1, 7, 8, 9, 100])
def test_snapshots_add_up_to_the_epochs(epochs):
    context = problems.context(problems.problem(n=20, m=2, density=0.8), epochs=epochs)
    refit(context, Selection(np.arange(10), np.ones(10), 0.1))
    history = context.history.table()
    assert history.column("epoch").to_pylist()[-1] == epochs
    assert history.num_rows <= 9
    assert set(history.column("stage").to_pylist()) == {"refit"}
