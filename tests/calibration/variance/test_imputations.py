import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.stats

import l0
from l0.calibration import combine_imputations
from l0.common.errors import InputError
from tests.calibration.variance.samples import with_replicates

ESTIMATES = [[9.5, 102], [10.25, 98], [11, 101.5], [8.75, 100]]
VARIANCES = [[4, 9], [3.5, 10], [4.25, 8], [5, 9.5]]
#: `MIcombine` of R's package mitools 2.4: standard errors, degrees of freedom, missing information.
MITOOLS = [2.31503239718, 3.62787242517], [62.7461333333, 31.8954206035]
MISSING = [0.242427319814, 0.346424345855]


def frame(estimates, variances, **changes):
    return pd.DataFrame(
        {
            "state": ["NY", "VT"], "estimate": estimates,
            "standard_error": np.sqrt(np.array(variances, float)), "low": 0.0, "high": 0.0,
            "effective_n": 40.5, "design_effect": 1.5, "cv": 0.1, "n_records": 50,
            "few_records": False, **changes,
        }
    )  # fmt: skip


FRAMES = [frame(*of) for of in zip(ESTIMATES, VARIANCES, strict=True)]


def test_the_rules_are_those_of_mitools():
    found = combine_imputations(FRAMES)
    np.testing.assert_allclose(found["estimate"], np.mean(ESTIMATES, axis=0))
    np.testing.assert_allclose(found["standard_error"], MITOOLS[0])
    np.testing.assert_allclose(found["degrees"], MITOOLS[1])
    np.testing.assert_allclose(found["fraction_missing"], MISSING)
    np.testing.assert_allclose(found["within_variance"], np.mean(VARIANCES, axis=0))
    np.testing.assert_allclose(found["between_variance"], np.var(ESTIMATES, axis=0, ddof=1))
    half = scipy.stats.t.ppf(0.975, MITOOLS[1]) * MITOOLS[0]
    np.testing.assert_allclose(found["high"] - found["estimate"], half)
    np.testing.assert_allclose(found["cv"], found["standard_error"] / found["estimate"])


def test_degrees_of_the_complete_data_are_those_of_barnard_and_rubin():
    found = combine_imputations(FRAMES, degrees=79, level=0.9)
    # Their equation (3). `MIcombine` leaves the factor 1 + 1/m out of the observed degrees.
    within = np.mean(VARIANCES, axis=0)
    kept = within / (within + 5 / 4 * np.var(ESTIMATES, axis=0, ddof=1))
    degrees = 1 / (1 / np.array(MITOOLS[1]) + 1 / (80 / 82 * 79 * kept))
    np.testing.assert_allclose(found["degrees"], degrees)
    half = scipy.stats.t.ppf(0.95, degrees) * MITOOLS[0]
    np.testing.assert_allclose(found["high"] - found["estimate"], half)


def test_equal_estimates_have_the_variance_of_one():
    found = combine_imputations([FRAMES[0]] * 3)
    np.testing.assert_allclose(found["standard_error"], FRAMES[0]["standard_error"])
    assert (found["fraction_missing"] == 0).all() and np.isinf(found["degrees"]).all()
    np.testing.assert_allclose(
        found["high"] - found["estimate"], scipy.stats.norm.ppf(0.975) * found["standard_error"]
    )
    degrees = combine_imputations([FRAMES[0]] * 3, degrees=79)["degrees"]
    np.testing.assert_allclose(degrees, 80 / 82 * 79)


def test_rows_are_joined_by_their_labels_and_support_is_the_smallest():
    mixed = frame(*[of[::-1] for of in (ESTIMATES[1], VARIANCES[1])], state=["VT", "NY"],
                  n_records=[7, 60], few_records=[True, False])  # fmt: skip
    found = combine_imputations([FRAMES[0], mixed, *FRAMES[2:]])
    np.testing.assert_allclose(found["standard_error"], MITOOLS[0])
    assert found["state"].tolist() == ["NY", "VT"]
    assert found["n_records"].tolist() == [50, 7]
    assert found["few_records"].tolist() == [False, True]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_estimates_of_several_runs_combine(survey, kind):
    tables = {"pandas": survey.households, "polars": pl.from_pandas(survey.households)}
    table = tables.get(kind.__module__.split(".")[0], pa.Table.from_pandas(survey.households))
    frames = [
        with_replicates(l0.calibrate(**survey.options(), n_records=90, epochs=8, seed=seed))
        .estimate(table, "wealth", by="state")
        for seed in range(3)
    ]  # fmt: skip
    found = combine_imputations(frames)
    assert isinstance(found, kind)
    estimates = [np.asarray(of["estimate"]) for of in frames]
    np.testing.assert_allclose(np.asarray(found["estimate"]), np.mean(estimates, axis=0))


def test_a_null_standard_error_stays_null():
    unknown = FRAMES[0].assign(standard_error=[np.nan, 1.0])
    found = combine_imputations([unknown, *FRAMES[1:]])
    assert found["standard_error"].isna().tolist() == [True, False]
    for name in ("low", "within_variance", "degrees", "fraction_missing"):
        assert found[name].isna().tolist() == [True, False], name
    table = combine_imputations([pa.Table.from_pandas(of) for of in (unknown, *FRAMES[1:])])
    assert table.column("fraction_missing").null_count == 1


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (FRAMES[:1], "`frames` must be a list of at least two frames of estimates"),
        (FRAMES[0], "`frames` must be a list of at least two frames of estimates"),
        ([FRAMES[0], 3], r"`frames\[1\]` is a int; pass a pandas, polars or pyarrow table"),
        (
            [FRAMES[0], FRAMES[1].drop(columns="cv")],
            r"`frames\[1\]` has the columns 'state', .*est",
        ),
        (
            [FRAMES[0], FRAMES[1].rename(columns={"state": "region"})],
            r"has the label columns \['region'\], and the first frame has \['state'\]; estimate",
        ),
        (
            [FRAMES[0], FRAMES[1].assign(state=["NY", "CA"])],
            r"do not have the same domains \('CA', 'VT' are in one of them\); estimate them in all",
        ),
        (
            [FRAMES[0], FRAMES[1].assign(state="NY")],
            r"`frames\[1\]` has more than one row for 1 domain \('NY'\); combine the frames of one",
        ),
        (
            [of.drop(columns="state") for of in FRAMES],
            r"`frames\[0\]` has more than one row for 1 domain \('all rows'\); combine",
        ),
        (
            [of.rename(columns={"state": "degrees"}) for of in FRAMES],
            "label columns 'degrees', which is also a column of the combination; rename it",
        ),
    ],
)
def test_frames_that_do_not_fit_are_named(frames, text):
    with pytest.raises(InputError, match=text):
        combine_imputations(frames)


def test_degrees_and_level_are_checked():
    with pytest.raises(InputError, match="`degrees` must be positive and finite, got 0"):
        combine_imputations(FRAMES, degrees=0)
    with pytest.raises(InputError, match="`level` must be a number above 0 and below 1, got 2"):
        combine_imputations(FRAMES, level=2)
