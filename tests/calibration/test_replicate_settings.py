import json

import numpy as np
import pytest

from l0.calibration import Jackknife, SurveyReplicates
from l0.calibration.replicate_settings import checked_replicates, describe_replicates
from l0.common.errors import InputError

TWO = ["r1", "r2"]


def test_a_number_is_short_for_a_jackknife():
    assert checked_replicates(80) == Jackknife(80)
    assert checked_replicates(None) is None
    assert checked_replicates(Jackknife(5)) == Jackknife(5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (1, "`replicates` must be an integer of at least 2"),
        (0.5, "`replicates` is 0.5; pass a number of groups"),
        (True, "`replicates` is bool; pass a number of groups"),
        ("80", "`replicates` is '80'; pass a number of groups"),
    ],
)
def test_what_is_no_method_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        checked_replicates(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1}, "`n` must be an integer of at least 2"),
        ({"selection_error_only": 1}, "`selection_error_only` must be True or False"),
        ({"selection_error_only": True, "clusters": "psu"}, "exclude each other"),
        ({"selection_error_only": True, "strata": "h"}, "exclude each other"),
    ],
)
def test_a_jackknife_checks_its_settings(options, message):
    with pytest.raises(InputError, match=message):
        Jackknife(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "r1"}, "`columns` is 'r1'; pass a list of the names"),
        ({"columns": ["r1"]}, "two or more columns"),
        ({"columns": ["r1", "r1"]}, "`columns` repeats 'r1'"),
        ({"method": "JK2"}, "`method` is 'JK2'; it must be one of BRR, Fay, JK1"),
        ({"method": "Fay"}, "`method='Fay'` needs its factor"),
        ({"rho": 0.5}, "only 'Fay' has a factor"),
        ({"method": "Fay", "rho": 1.0}, "`rho` must be a number above 0 and below 1"),
        ({"method": "JKn"}, "`method='JKn'` needs `rscales`, one for each column"),
        ({"rscales": [1.0]}, "`rscales` has 1 entry for 2 `columns`"),
        ({"rscales": [1.0, -1.0]}, "`rscales` must be finite and at least 0"),
        ({"rscales": [1.0, np.nan]}, "`rscales` is NaN or infinite at 1 position"),
        ({"rscales": 1.0}, "`rscales` has shape"),
        ({"method": ["BRR"]}, r"`method` is \['BRR'\]; it must be one of BRR"),
        ({"scale": 0}, "`scale` must be positive"),
        ({"groups": 1}, "`groups` must be an integer of at least 2"),
    ],
)
def test_survey_replicates_check_their_settings(options, message):
    with pytest.raises(InputError, match=message):
        SurveyReplicates(**{"columns": TWO, "method": "BRR", **options})


@pytest.mark.parametrize(
    ("of_numpy", "plain"),
    [
        (
            Jackknife(np.int64(9), np.str_("psu"), np.str_("h"), np.bool_(False)),
            Jackknife(9, "psu", "h"),
        ),
        (Jackknife(np.uint8(80), selection_error_only=np.True_), Jackknife(80, None, None, True)),
        (
            SurveyReplicates(
                tuple(map(np.str_, TWO)), np.str_("Fay"), np.float32(0.5), np.float32(2),
                np.array([1, 2]), np.int32(90),
            ),
            SurveyReplicates(TWO, "Fay", 0.5, 2.0, [1.0, 2.0], 90),
        ),
    ],
)  # fmt: skip
def test_numbers_and_text_of_numpy_become_plain_ones(of_numpy, plain):
    assert of_numpy == plain and repr(of_numpy) == repr(plain)
    described = describe_replicates(of_numpy)
    assert json.loads(json.dumps(described)) == described == describe_replicates(plain)


def test_the_description_has_what_is_not_the_default():
    assert describe_replicates(None) is None
    assert describe_replicates(80) == 80
    assert describe_replicates(Jackknife(12)) == 12
    assert describe_replicates(Jackknife(clusters="psu")) == {
        "kind": "Jackknife",
        "clusters": "psu",
    }
    assert describe_replicates(Jackknife(9, strata=np.arange(4))) == {
        "kind": "Jackknife", "n": 9, "strata": {"shape": [4]},
    }  # fmt: skip
    assert describe_replicates(SurveyReplicates(tuple(TWO), "Fay", rho=0.5)) == {
        "kind": "SurveyReplicates", "columns": TWO, "method": "Fay", "rho": 0.5,
    }  # fmt: skip
