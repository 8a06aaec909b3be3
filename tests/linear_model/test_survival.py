import numpy as np
import pandas as pd
import pytest

from l0.common.errors import InputError
from l0.linear_model.survival import concordance, survival

TIMES = np.array([[2.0, 1], [3, 0], [1, 1]])


@pytest.mark.parametrize(
    "form",
    [
        TIMES,
        TIMES.tolist(),
        pd.DataFrame(TIMES, columns=["time", "event"]),
        pd.DataFrame({"t": TIMES[:, 0], "e": TIMES[:, 1] == 1}),
        np.array([(t, e == 1) for t, e in TIMES], dtype=[("t", float), ("e", bool)]),
        np.array([(e == 1, t) for t, e in TIMES], dtype=[("e", bool), ("t", float)]),
    ],
)
def test_forms_of_survival_times(form):
    np.testing.assert_array_equal(survival(form), TIMES)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (None, "the target y is None; pass an array of shape"),
        (np.ma.array(TIMES, mask=TIMES == 3), "`y` has masked values; fill them, or leave out"),
        (np.arange(3.0), r"`y` has shape \(3,\); pass"),
        (TIMES[:, [0, 1, 1]], r"shape \(3, 3\)"),
        ([["01", "1"], ["02", "0"]], "`y` has text; pass an array of shape"),
        (pd.DataFrame({"t": TIMES[:, 0], "e": ["dead", "dead", "alive"]}), "`y` has text; pass"),
        (np.array([("1", True)], dtype=[("t", "U1"), ("e", bool)]), "`y` has text; pass an array"),
        (np.array([["2020-01-01", "2020-01-02"]], "M8[D]"), "`y` has dates or times; pass an"),
        ([[1, {}], [2, {}]], "no numbers"),
        (np.where(TIMES == 3, np.nan, TIMES), "`y` has NaN or infinite values in the rows 1"),
        (TIMES - [2, 0], "negative times in the rows 2"),
        (TIMES[:, ::-1], "events other than 0 and 1 in the rows 0, 1"),
        (np.array([(1.0, 2.0)], dtype=[("a", float), ("b", float)]), "fields 'a', 'b'"),
    ],
)
def test_what_is_no_survival_time_is_named(form, said):
    with pytest.raises(InputError, match=said):
        survival(form)


def test_concordance_counts_comparable_pairs():
    weights = np.ones(3)
    assert concordance(TIMES, np.array([2.0, 1.0, 3.0]), weights) == 1
    assert concordance(TIMES, np.array([2.0, 3.0, 1.0]), weights) == 0
    assert concordance(TIMES, np.zeros(3), weights) == 0.5
    # Rows 2 and 0, 2 and 1, 0 and 1 are comparable; one of the three is wrong.
    assert concordance(TIMES, np.array([3.0, 1.0, 2.0]), weights) == pytest.approx(2 / 3)
    censored = np.column_stack([TIMES[:, 0], np.zeros(3)])
    assert concordance(censored, np.arange(3.0), weights) == 0.5
