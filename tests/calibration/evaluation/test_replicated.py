import numpy as np

from l0.calibration import CalibrationProblem
from l0.calibration.evaluation.replicated import statistics_under
from tests.calibration import problems


def check(problem, k=30):
    """Each column has the targets and the statistics that the weights of the column have alone."""
    generator = np.random.default_rng(0)
    records = generator.permutation(problem.n_records)[:k]
    columns = generator.uniform(1, 5, (k, 3)) * problem.design_weights[records, None]
    columns[:4, 1] = 0
    reference = generator.uniform(0.5, 2, problem.n_records)
    found = statistics_under(problem, records, reference, columns)
    for place in range(3):
        everyone = np.zeros(problem.n_records)
        everyone[records] = columns[:, place]
        targets = problem.estimate(everyone)[np.argsort(problem.target_order)]
        np.testing.assert_allclose(found["targets"][:, place], targets, rtol=1e-12)
        if problem.untargeted is not None:
            table = problem.untargeted.compare(reference * problem.design_weights, everyone)
            np.testing.assert_allclose(
                found["untargeted"][:, place], table.column("estimate"), rtol=1e-9, atol=1e-9
            )
    return found


def test_tables_and_members(survey):
    targets = survey.targets.sample(frac=1, random_state=0)
    problem = CalibrationProblem.from_frames(**survey._replace(targets=targets).options())
    assert len(check(problem, 150)["untargeted"]) > 40


def test_a_matrix_with_and_without_statistics():
    given = problems.parts()
    assert "untargeted" not in check(CalibrationProblem.from_matrix(**given))
    statistics = np.random.default_rng(4).uniform(0, 1, (3, 300))
    found = check(CalibrationProblem.from_matrix(**given, untargeted=statistics))
    assert found["untargeted"].shape == (3, 3)
