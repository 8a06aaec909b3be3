import numpy as np
import pytest

import l0
from l0.calibration import CalibrationProblem, Jackknife, SurveyReplicates
from l0.common.errors import InputError


@pytest.mark.parametrize(
    ("replicates", "said"),
    [
        (Jackknife(8, strata="stat"), "`strata` names the column 'stat', .*closest: 'state'"),
        (Jackknife(8, clusters="psu"), "`clusters` names the column 'psu'"),
        (Jackknife(8, clusters="one"), "only one cluster among the records of the file"),
        (Jackknife(8, clusters="state", strata="state"), "4 strata have only one cluster"),
        (SurveyReplicates(["weight", "rw2"], "BRR"), "`columns` names the column 'rw2'"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_design_is_said_before_the_fit(
    survey, replicates, said, monkeypatch
):
    def fail(*_, **__):
        raise AssertionError("the fit has started")

    for name in ("calibrate_full_file", "refit"):
        monkeypatch.setattr(f"l0.calibration.solve.{name}", fail)
    options = survey.options()
    options["records"]["one"] = "a"
    for n_records in (None, 60):
        with pytest.raises(InputError, match=said):
            l0.calibrate(**options, n_records=n_records, replicates=replicates)


def test_a_stratum_that_keeps_one_record_is_named():
    A = np.ones((1, 200))
    problem = CalibrationProblem.from_matrix(A, [200.0], np.ones(200))
    strata = np.arange(200) // 2
    with pytest.raises(InputError, match="only one record among the chosen records"):
        problem.solve(60, replicates=Jackknife(8, strata=strata), epochs=5)
