import numpy as np

from l0.calibration import Random
from tests.calibration import problems


def test_every_record_is_as_likely_and_counts_for_n_over_k():
    context = problems.context(problems.problem(n=40))
    drawn = np.zeros(40)
    for _ in range(2_000):
        selection = Random().select(context, 10)
        assert len(np.unique(selection.records)) == 10
        assert set(selection.base) == {4.0}
        drawn[selection.records] += 1
    assert np.abs(drawn / 2_000 - 0.25).max() < 4.5 * np.sqrt(0.25 * 0.75 / 2_000)
