import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.diagnosis.budget import excluded_records, out_of_joint_reach
from l0.calibration.problem.bounds import Bounds

HOMES = pd.DataFrame({"w": 10.0, "area": ["A", "B"] * 20, "must": [True] * 4 + [False] * 36})


def problem(values):
    targets = pd.DataFrame({"variable": "count", "area": ["A", "B"], "value": values})
    return CalibrationProblem.from_frames(HOMES, targets, weight="w")


EVERY = np.ones(2, dtype=bool)


def excluded(values=(200.0, 200.0), n_records=None, must_keep=None, quotas=None):
    return list(excluded_records(problem(values), EVERY, n_records, must_keep, quotas))


def test_totals_of_0_exclude_their_records():
    assert excluded() == []
    (note,) = excluded((200.0, 0.0), 20)
    assert note.severity == "note" and note.names == ("count by area=B",)
    assert "20 of 40 records get the weight 0" in note.what
    (error,) = excluded((200.0, 0.0), 21)
    assert error.severity == "error"
    assert "`n_records` is 21, and only 20 can be kept" in error.what


def test_constraints_that_leave_no_choice():
    assert excluded(n_records=10, must_keep="must") == []
    (error,) = excluded(n_records=3, must_keep="must")
    assert (error.severity, error.about) == ("error", "constraints")
    assert "`n_records` is 3" in error.what and "`must_keep`" in error.what and error.remedy
    quotas = pd.DataFrame({"area": ["A", "B"], "min_records": [8, 8]})
    assert excluded(n_records=16, quotas=quotas) == []
    (error,) = excluded(n_records=15, quotas=quotas)
    assert "`quotas`" in error.what


@pytest.mark.parametrize(("high", "count"), [(4.0, 1), (20.0, 0)])
def test_what_k_records_within_bounds_cannot_meet_together(high, count):
    findings = list(out_of_joint_reach(problem((200.0, 200.0)), Bounds(high=high), 5, EVERY))
    assert len(findings) == count
    for finding in findings:
        assert "5 records within these bounds reach together at most about 200" in finding.what
        assert finding.names == ("count by area=A", "count by area=B")
