"""A series whose index has the labels of the records in another order is refused."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from l0.calibration import CalibrationProblem, Jackknife, check
from l0.calibration.problem.given_order import check_order, refuse_another_order
from l0.common.errors import InputError

HOMES = pd.DataFrame(
    {"id": list("cabed"), "w": [1.0, 2.0, 3.0, 4.0, 5.0], "x": [5.0, 1.0, 4.0, 2.0, 3.0]},
    index=[10, 30, 20, 50, 40],
)
TARGETS = pd.DataFrame({"variable": ["count"], "value": [16.0]})
SORTED = HOMES.sort_index()
BY_KEY = HOMES.set_index("id").sort_index()
SAID = "has the labels of `records.index` in another order, with other ones at 4 positions (1, 2, "


def of_frames(records=HOMES, **options):
    return CalibrationProblem.from_frames(records, TARGETS, weight="w", key="id", **options)


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("must_keep", SORTED["x"] > 3),
        ("bounds", (None, SORTED["x"] + 9)),
        ("bounds", (SORTED["x"] / 9, None)),
        ("weight_bounds", (None, SORTED["x"] + 9)),
    ],
)
def test_an_argument_with_an_index_in_another_order_is_refused(argument, given):
    said = re.escape(f"the index of `{argument}` {SAID}")
    with pytest.raises(InputError, match=said):
        of_frames().solve(3, method="pps", **{argument: given})
    with pytest.raises(InputError, match=said):
        check(HOMES, TARGETS, key="id", weight="w", n_records=3, **{argument: given})


def test_the_remedies_give_what_they_say():
    problem = of_frames()
    flags = SORTED["x"] > 3
    with pytest.raises(InputError, match=r"pass `.reindex\(records.index\)` of it to go by the la"):
        problem.solve(3, method="pps", must_keep=flags)
    for given in (flags.reindex(HOMES.index), HOMES["x"] > 3):
        kept = problem.solve(3, method="pps", must_keep=given).weights["id"]
        assert {"c", "b"} <= set(kept)
    kept = problem.solve(3, method="pps", must_keep=flags.to_numpy()).weights["id"]
    assert {"c", "a"} <= set(kept)


def test_keys_are_labels_too():
    with pytest.raises(
        InputError, match=r"of `must_keep` has the labels of `records\['id'\]` in another order"
    ):
        of_frames(pl.from_pandas(HOMES)).solve(3, method="pps", must_keep=BY_KEY["x"] > 3)
    given = BY_KEY["x"].reindex(HOMES["id"]) > 3
    for problem in (
        of_frames(),
        of_frames(pl.from_pandas(HOMES)),
        of_frames(HOMES.set_index("id")),
    ):
        assert {"c", "b"} <= set(problem.solve(3, method="pps", must_keep=given).weights["id"])


@pytest.mark.parametrize(
    "given",
    [
        pd.Series([True] * 5),
        pd.Series([True] * 5, index=[1, 2, 3, 4, 5]),
        pd.Series([True] * 5, index=[10, 10, 20, 50, 40]),
        pd.Series([True] * 5, index=[10, None, 20, 50, 40]),
        pd.Series([True] * 5, index=pd.array([10, None, 20, 50, 40], "Int64")),
        pd.Series([True] * 5, index=pd.CategoricalIndex(HOMES.index)),
        pl.Series([True] * 5),
        np.ones(5, dtype=bool),
        [True] * 5,
    ],
)
def test_other_labels_say_nothing(given):
    refuse_another_order(of_frames(), given, "must_keep")


def test_row_numbers_are_not_compared_with_keys():
    records = HOMES.assign(id=[2, 0, 1, 4, 3])
    refuse_another_order(of_frames(records), pd.Series([True] * 5), "must_keep")
    with pytest.raises(InputError, match="`records.index`"):
        refuse_another_order(
            of_frames(records.set_index(pd.Index([1, 0, 2, 3, 4]))), pd.Series([1] * 5), "bounds"
        )


def test_labels_of_which_some_are_missing_cannot_be_compared():
    own, other = (pd.Index(pd.array(labels, "Int64")) for labels in ([1, None, 2], [None, 1, 2]))
    check_order(own, "x", {"y": other}, {})


# A matrix

IDS = pd.Index(["p", "r", "q"])
A = pd.DataFrame([[1.0, 1, 1], [0, 2, 3]], index=["all", "few"], columns=IDS)
VALUES, WEIGHTS = pd.Series([3.0, 4.0], index=A.index), pd.Series([1.0, 2.0, 3.0], index=IDS)


def of_matrix(**changes):
    given = {"A": A, "values": VALUES, "weights": WEIGHTS, **changes}
    return CalibrationProblem.from_matrix(**given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": VALUES[::-1]}, "`values.index` has the labels of `A.index`"),
        ({"weights": WEIGHTS.sort_index()}, "`weights.index` has the labels of `A.columns`"),
        ({"untargeted": A[["q", "r", "p"]]}, "`untargeted.columns` has the labels of `A.columns`"),
        ({"groups": pd.Series(["x", "y"], index=["few", "all"])}, "`groups.index` has the labels"),
        ({"names": ["few", "all"]}, "`A.index` has the labels of `names`"),
        ({"A": A.to_numpy(), "names": ["few", "all"]}, "`values.index` has the labels of `names`"),
        ({"keys": ["p", "q", "r"]}, "`A.columns` has the labels of `keys`"),
    ],
)
def test_a_matrix_and_its_arrays_have_one_order(changes, said):
    with pytest.raises(InputError, match=re.escape(said)):
        of_matrix(**changes)


def test_what_agrees_with_a_matrix_is_taken():
    problem = of_matrix(keys=pd.Series(IDS), names=pd.Series(A.index), untargeted=A)
    assert problem.keys.to_pylist() == ["p", "q", "r"]
    of_matrix(keys=pd.Series([2, 0, 1]), weights=pd.Series([1.0, 2.0, 3.0]))
    with pytest.raises(InputError, match="of `must_keep` has the labels of `A.columns` in another"):
        problem.solve(2, method="pps", must_keep=WEIGHTS.sort_index() > 1)
    with pytest.raises(InputError, match="the index of `strata` has the labels of `A.columns`"):
        problem.solve(
            2, method="pps", replicates=Jackknife(2, strata=pd.Series(list("xyz"), list("pqr")))
        )
