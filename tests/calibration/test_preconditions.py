import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.preconditions import (
    check_n_records,
    check_reachable,
    check_scale,
    find_candidates,
    read_constraints,
    telling_targets,
)
from l0.calibration.problem.bounds import Bounds
from l0.common.errors import InputError


def problem(values, A=((1.0, 1.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0))):
    return CalibrationProblem.from_matrix(np.array(A), values, [10.0] * 4, names=["all", "few"])


EVERY = np.ones(2, dtype=bool)


def test_a_budget_is_a_number_of_records():
    assert check_n_records(4, problem([30, 10])) == 4
    with pytest.raises(InputError, match="`n_records` must be an integer from 1 to .* 4, got 5"):
        check_n_records(5, problem([30, 10]))


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (lambda of, tell: find_candidates(of(20, 0), EVERY, 4, tell), "only 3 can be kept: 1 of 4"),
        (lambda of, tell: check_reachable(of(-1, -2), Bounds(), 4, tell), "no target with an imp"),
        (lambda of, tell: check_scale(of(30e3, 10e3), EVERY, tell), "targets are 1e[+]03 times"),
    ],
)
def test_each_is_an_error_or_a_finding(check, what):
    def make(*values):
        return problem(values)

    def refused(finding):
        raise InputError(finding.text)

    found = []
    check(make, found.append)
    (finding,) = found
    assert finding.severity == "error" and finding.remedy
    with pytest.raises(InputError, match=what):
        check(make, refused)


def test_nothing_is_found_where_all_is_well():
    found = []
    of = problem([30, 10])
    assert find_candidates(of, EVERY, 4, found.append).tolist() == [0, 1, 2, 3]
    assert check_reachable(of, Bounds(), 4, found.append).tolist() == ["", ""]
    check_scale(of, EVERY, found.append)
    assert found == []
    assert read_constraints(of, None, None, np.arange(4), EVERY) is None


def test_a_net_total_of_amounts_of_both_signs_tells_nothing():
    of = problem([30, 1], A=((1.0, 1.0, 1.0, 1.0), (5.0, -5.0, 1.0, 0.0)))
    assert telling_targets(of, EVERY).tolist() == [True, False]
