import numpy as np

from l0.calibration import Pps
from l0.calibration.sampling.designs import inclusion_probabilities
from tests.calibration import problems


def test_records_are_drawn_as_often_as_their_probabilities_say():
    context = problems.context(problems.problem(n=40), epochs=40, full_file=True)
    weights = context.full_file * context.problem.design_weights
    q = inclusion_probabilities(weights, 10)
    drawn = np.zeros(40)
    for _ in range(2_000):
        drawn[Pps().select(context, 10).records] += 1
    standard_error = np.sqrt(q * (1 - q) / 2_000)
    assert (np.abs(drawn / 2_000 - q) <= 4.5 * standard_error + 1e-12).all()


def test_base_weights_are_those_of_horvitz_and_thompson():
    context = problems.context(problems.problem(n=40), epochs=40, full_file=True)
    weights = context.full_file * context.problem.design_weights
    selection = Pps().select(context, 10)
    base = selection.base * context.problem.design_weights[selection.records]
    q = inclusion_probabilities(weights, 10)[selection.records]
    np.testing.assert_allclose(base * q, weights[selection.records])
