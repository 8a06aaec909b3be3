import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.diagnosis.groups import group_table


def test_the_groups_have_their_share_of_the_loss():
    A = np.array([[1.0] * 4, [1, 1, 0, 0], [0, 0, 0, 1]])
    problem = CalibrationProblem.from_matrix(
        A, [40, 10, 5], np.full(4, 10.0), names=list("abc"), groups=["all", "part", "part"]
    )
    table = group_table(problem, np.array(["", "", "no"]))
    assert table.column("group").to_pylist() == ["all", "part"]
    assert table.column("share").to_pylist() == pytest.approx([0.5, 0.5])
    row = table.to_pylist()[1]
    assert (row["n_targets"], row["fewest_records"], row["median_records"]) == (2, 1, 1.5)
    assert row["design_loss"] == pytest.approx(1.0)  # both are over by 100%
    assert row["n_unreachable"] == 1
    assert table.to_pylist()[0]["design_loss"] == 0
