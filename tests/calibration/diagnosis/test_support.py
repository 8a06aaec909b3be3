import numpy as np

from l0.calibration import CalibrationProblem
from l0.calibration.diagnosis.support import FEW, few_records, out_of_reach, without_records
from l0.calibration.problem.bounds import Bounds, unreachable


def problem(values):
    """Two targets with 2 and with all 40 records, and one without a record."""
    A = np.zeros((3, 40))
    A[0, :2], A[1] = 1, 1
    names = ["two", "all", "none"]
    return CalibrationProblem.from_matrix(A, values, np.full(40, 10.0), names=names)


def reasons(of):
    return unreachable(of, Bounds(), of.n_records)


def test_targets_out_of_reach_have_their_reasons():
    of = problem([-3, 400, 5])
    (finding,) = out_of_reach(of, reasons(of), bounded=False)
    assert finding.names == ("none", "two")
    assert "2 targets are out of reach ('none': no record behind it; 'two': no rec" in finding.what
    assert "widen" not in finding.remedy
    (finding,) = out_of_reach(of, reasons(of), bounded=True)
    assert "widen the bounds" in finding.remedy
    assert list(out_of_reach(of, np.array([""] * 3), bounded=False)) == []


def test_a_target_of_0_needs_no_record():
    of = problem([20, 400, 0])
    (finding,) = without_records(of, reasons(of))
    assert finding.names == ("none",) and finding.severity == "note"
    assert finding.what.startswith("1 target has the value 0 and no record")
    lost = problem([20, 400, 5])
    assert list(without_records(lost, reasons(lost))) == []


def test_few_records_are_counted():
    (finding,) = few_records(problem([20, 400, 0]))
    assert finding.names == ("two",)
    assert f"1 target has fewer than {FEW} records behind it ('two: 2')" in finding.what
