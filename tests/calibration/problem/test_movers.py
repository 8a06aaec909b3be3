import dataclasses

import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.problem.movers import (
    count_movers,
    directions,
    second_directions,
    with_entries,
)
from tests.calibration import problems


def signed():
    A = np.array([[1.0, -2, 3, 0], [1, -2, 3, 0], [1, -2, 3, 0], [0, 0, 0, 0]])
    return CalibrationProblem.from_matrix(A, [5, -5, 0, 4], np.ones(4))


def test_entries_of_the_sign_of_the_value_move_a_target():
    problem = signed()
    assert directions(problem).tolist() == [1, -1, 0, 1]
    assert with_entries(problem.matrix, 0, 1).tolist() == [0, 2]
    assert with_entries(problem.matrix, 1, -1).tolist() == [1]
    assert count_movers(problem, np.ones(4, dtype=bool)).tolist() == [2, 1, 0, 0]
    assert count_movers(problem, np.array([False, False, True, True])).tolist() == [1, 0, 0, 0]


def test_a_target_whose_tolerance_includes_0_needs_no_record():
    problem = dataclasses.replace(signed(), tolerance=np.array([1.0, 0.9, 0, 0]))
    assert directions(problem).tolist() == [0, -1, 0, 1]


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_the_count_does_not_depend_on_how_many_entries_are_read_at_a_time(monkeypatch, block):
    monkeypatch.setattr("l0.calibration.problem.movers.BLOCK", block)
    problem = problems.problem(n=40, m=12)
    some = np.arange(40) % 3 > 0
    expected = (problem.matrix.toarray()[:, some] > 0).sum(axis=1)
    np.testing.assert_array_equal(count_movers(problem, some), expected)


def test_a_mean_needs_records_on_both_sides():
    homes = pd.DataFrame({"w": 1.0, "x": [1.0, 2, 3, 4]})
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 4.0, "name": "0"},
            {"variable": "x", "statistic": "mean", "value": 2.0, "name": "1"},
            {"variable": "x", "statistic": "mean", "at_least": 3.5, "name": "2"},
            {"variable": "x", "statistic": "mean", "at_most": 2.5, "name": "3"},
            {"variable": "x", "at_least": 9.0, "name": "4"},
            {"variable": "x", "at_most": 5.0, "name": "5"},
        ]
    )
    problem = CalibrationProblem.from_frames(homes, targets, weight="w")
    assert directions(problem).tolist() == [1, 1, 1, -1, 1, 0]
    assert second_directions(problem).tolist() == [0, -1, 0, 0, 0, 0]
    everybody = np.ones(4, dtype=bool)
    assert count_movers(problem, everybody).tolist() == [4, 2, 1, 2, 4, 0]
    assert count_movers(problem, everybody, second_directions(problem)).tolist()[1] == 1
