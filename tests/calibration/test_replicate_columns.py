import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import l0
from l0.calibration import CalibrationProblem, Jackknife, SurveyReplicates
from l0.calibration.replicate_columns import base_columns
from l0.common.errors import InputError


@pytest.mark.parametrize(
    ("replicates", "said"),
    [
        (Jackknife(8, strata="stat"), "`strata` names the column 'stat', .*closest: 'state'"),
        (Jackknife(8, clusters="psu"), "`clusters` names the column 'psu'"),
        (Jackknife(8, clusters="one"), "only one cluster among the records of the file"),
        (Jackknife(8, clusters="state", strata="state"), "4 strata have only one cluster"),
        (SurveyReplicates(["weight", "rw2"], "BRR"), "`columns` names the column 'rw2'"),
        (SurveyReplicates(["weight", "zero"], "BRR"), "'zero' is 0 for all records of the file"),
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
    options["records"]["zero"] = 0.0
    for n_records in (None, 60):
        with pytest.raises(InputError, match=said):
            l0.calibrate(**options, n_records=n_records, replicates=replicates)


def test_that_all_records_are_kept_is_said_before_the_fit(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the fit has started")

    monkeypatch.setattr("l0.calibration.solve.calibrate_full_file", fail)
    problem = CalibrationProblem.from_matrix(np.ones((1, 20)), [20.0], np.ones(20))
    with pytest.raises(InputError, match="all records are kept"):
        problem.solve(replicates=Jackknife(8, selection_error_only=True))


@pytest.mark.parametrize("clustered", [False, True])
def test_a_column_leaves_the_same_units_out_of_the_chosen_records_and_of_the_file(
    clustered, monkeypatch
):
    made = []

    def kept(*given):
        made.append((given, base_columns(*given)))
        return made[-1][1]

    monkeypatch.setattr("l0.calibration.replicate.base_columns", kept)
    rng = np.random.default_rng(0)
    problem = CalibrationProblem.from_matrix(
        np.ones((1, 200)), [200.0], np.ones(200), untargeted=rng.uniform(size=(1, 200))
    )
    clusters = rng.permutation(200) // 5
    settings = Jackknife(8, clusters=clusters if clustered else None)
    problem.solve(60, replicates=settings, represent=[0], epochs=5)
    ((_, selection, *_), columns), *_ = made
    lost = columns.of_survey(sp.eye_array(200, format="csr")) < 0
    assert lost.shape == (200, 8)
    np.testing.assert_array_equal(lost[selection.records], columns.factors[:, :8] == 0)
    np.testing.assert_array_equal(lost.sum(axis=0), 25)
    if clustered:
        order = np.argsort(clusters)
        assert (lost[order].reshape(40, 5, 8).std(axis=1) == 0).all()


def test_a_column_without_a_chosen_record_is_named():
    rng = np.random.default_rng(0)
    records = pd.DataFrame({"w": 10.0, "age": rng.uniform(20, 60, 300), "rw1": 10.0, "rw2": 0.0})
    targets = pd.DataFrame({"variable": ["count"], "value": [3000.0]})
    options = {"n_records": 30, "weight": "w", "epochs": 5, "represent": False}
    first = l0.calibrate(records.drop(columns=["rw1", "rw2"]), targets, **options)
    left = np.setdiff1d(np.arange(300), first.indices)
    records.loc[left, "rw2"] = 10.0
    with pytest.raises(InputError, match="'rw2' is 0 for all chosen records; .* keep more records"):
        l0.calibrate(
            records, targets, **options, replicates=SurveyReplicates(["rw1", "rw2"], "BRR")
        )


def test_a_stratum_that_keeps_one_record_is_named():
    A = np.ones((1, 200))
    problem = CalibrationProblem.from_matrix(A, [200.0], np.ones(200))
    strata = np.arange(200) // 2
    with pytest.raises(InputError, match="only one record among the chosen records"):
        problem.solve(60, replicates=Jackknife(8, strata=strata), epochs=5)
