import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.diagnosis.contradictions import MOST, contradictions
from l0.calibration.problem.bounds import Bounds
from tests.calibration import problems


def found(of, seconds=60.0, bounds=None):
    every = np.ones(of.n_targets, dtype=bool)
    return list(contradictions(of, bounds or Bounds(), every, seconds))


def pairs(n):
    """So many counts, and each of them a second time with another value."""
    A = np.repeat(np.eye(n), 2, axis=0)
    values = np.tile([10.0, 20.0], n)
    names = [f"{half} {row}" for row in range(n) for half in ("first", "second")]
    return CalibrationProblem.from_matrix(A, values, np.full(n, 15.0), names=names)


def test_targets_that_can_be_met_do_not_contradict_each_other():
    assert found(problems.problem()) == []


def test_all_contradictions_are_named():
    findings = found(pairs(3))
    named = {frozenset(finding.names) for finding in findings}
    assert named == {frozenset((f"first {row}", f"second {row}")) for row in range(3)}
    assert {finding.severity for finding in findings} == {"warning"}


def test_it_says_that_there_may_be_more():
    findings = found(pairs(MOST + 1))
    assert len(findings) == MOST + 1
    assert "ended after 5, and there may be more" in findings[-1].what


def test_it_says_that_the_time_is_over():
    (finding,) = found(pairs(3), seconds=1e-9)
    assert finding.severity == "note"
    assert "was stopped after 1e-09 s, and is not complete" in finding.what
    assert "--max-seconds" in finding.remedy


@pytest.mark.parametrize(("high", "count"), [(1.5, 1), (3.0, 0)])
def test_bounds_are_part_of_it(high, count):
    of = CalibrationProblem.from_matrix(np.ones((1, 4)), [80], np.full(4, 10.0))
    assert len(found(of, bounds=Bounds(high=high))) == count


def test_a_tolerance_is_no_contradiction(survey):
    given = survey.options()
    twice = {"variable": ["count", "count"], "state": ["01", None], "value": [100.0, 90.0]}
    table = pd.DataFrame(twice)
    options = {name: given[name] for name in ("records", "key", "weight")}
    assert len(found(CalibrationProblem.from_frames(targets=table, **options))) == 1
    eased = table.assign(tolerance=0.2)
    assert found(CalibrationProblem.from_frames(targets=eased, **options)) == []
