import numpy as np

from l0.calibration import CalibrationProblem, Cube, Pps
from l0.calibration.sampling.designs import inclusion_probabilities
from tests.calibration import problems


def test_records_are_drawn_as_often_as_their_probabilities_say():
    context = problems.context(problems.problem(n=40), epochs=40, full_file=True)
    weights = context.full_file * context.problem.design_weights
    q = inclusion_probabilities(weights, 10)
    drawn = np.zeros(40)
    for _ in range(500):
        drawn[Cube().select(context, 10).records] += 1
    standard_error = np.sqrt(q * (1 - q) / 500)
    assert (np.abs(drawn / 500 - q) <= 4.5 * standard_error + 1e-12).all()


def test_base_weights_are_those_of_horvitz_and_thompson():
    context = problems.context(problems.problem(n=40), epochs=40, full_file=True)
    weights = context.full_file * context.problem.design_weights
    selection = Cube().select(context, 10)
    base = selection.base * context.problem.design_weights[selection.records]
    q = inclusion_probabilities(weights, 10)[selection.records]
    np.testing.assert_allclose(base * q, weights[selection.records])


def error_of_shares(selection, context, categories):
    """Weighted shares of categories in a sample, against those of the calibrated full file."""
    full = context.full_file * context.problem.design_weights
    base = selection.base * context.problem.design_weights[selection.records]
    shares = [
        np.bincount(codes, weights, minlength=categories.max() + 1) / full.sum()
        for codes, weights in ((categories, full), (categories[selection.records], base))
    ]
    return np.abs(shares[0] - shares[1]).max()


def test_the_base_weights_reproduce_counts_and_amounts_of_the_survey(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    context = problems.context(problem, epochs=40, full_file=True)
    households = survey.households.sort_values("household")
    errors = {"cube": 0.0, "pps": 0.0}
    for column in ("state", "band", "owner"):
        categories = households[column].astype("category").cat.codes.to_numpy().astype(int)
        errors["cube"] += error_of_shares(Cube().select(context, 100), context, categories)
        errors["pps"] += error_of_shares(Pps().select(context, 100), context, categories)
    assert errors["cube"] < 0.5 * errors["pps"]


def test_the_widest_targets_of_a_matrix_are_hit_before_the_refit():
    problem = problems.problem(n=2_000, m=10, density=0.5)
    context = problems.context(problem, epochs=40, full_file=True)
    goal = problem.estimate(context.full_file * problem.design_weights)

    def error(selection):
        base = selection.base * problem.design_weights[selection.records]
        return np.abs(problem.estimate(base, selection.records) / goal - 1).mean()

    assert error(Cube().select(context, 200)) < 0.2 * error(Pps().select(context, 200))
