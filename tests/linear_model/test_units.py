import numpy as np
import pandas as pd
import polars as pl
import pytest

from l0.common.errors import InputError
from l0.linear_model.units import group_members, kept_units


@pytest.mark.parametrize(
    "labels",
    [
        list("bbacab"),
        np.array([2, 2, 0, 1, 0, 2]),
        pd.Series(pd.Categorical(list("bbacab")), index=range(6, 12)),
        pl.Series(list("bbacab")),
        np.array(["b", "b", 1, 2, 1, "b"], dtype=object),
    ],
)
def test_groups_come_in_order_of_their_first_columns(labels):
    assert [members.tolist() for members in group_members(labels, 6)] == [[0, 1, 5], [2, 4], [3]]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_columns_without_a_label_are_named(missing):
    with pytest.raises(InputError, match="`groups` has no label for the columns 1, 3; give"):
        group_members(["a", missing, "b", missing], 4)
    with pytest.raises(InputError, match="no label for the columns 0"):
        group_members(pd.Series([missing, 1, 1], dtype=object), 3)


@pytest.mark.parametrize("labels", ["abc", [[0, 1], [2]], [(0, 1)] * 3, [1, 2], 7])
def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(InputError, match="`groups` has shape .* a label for each of the 3 columns"):
        group_members(labels, 3)


def test_columns_are_kept_by_position_and_by_name():
    names, members = ["a", "b", "c"], [np.array([0, 2]), np.array([1])]
    assert kept_units(["c", np.int64(0), "c"], names, 3, None).tolist() == [0, 2]
    assert kept_units(np.array(["c", "a"]), names, 3, members).tolist() == [0]
    assert kept_units(None, None, 3, members).tolist() == []


@pytest.mark.parametrize("form", [list, tuple, np.array, pd.Series])
def test_a_mask_of_what_to_keep_is_refused_and_not_taken_for_positions(form):
    with pytest.raises(InputError, match=r"`must_keep`.*names columns that do not exist.*True"):
        kept_units(form([False, True, False]), None, 3, None)


@pytest.mark.parametrize("asked", ["a", 1, iter([1]), [[1]], 2.5])
def test_what_is_no_list_of_columns_is_refused(asked):
    with pytest.raises(InputError, match=r"`must_keep`.*pass"):
        kept_units(asked, ["a", "b", "c"], 3, None)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_labels_with_names_or_positions_are_aligned(kind):
    names = list("uvwxyz")
    by_name = kind(dict(zip("zyxwvu", "bacabb", strict=True)))
    by_place = kind(dict(zip(range(5, -1, -1), "bacabb", strict=True)))
    for labels, known in ((by_name, names), (by_place, None)):
        found = group_members(labels, 6, known)
        assert [members.tolist() for members in found] == [[0, 1, 5], [2, 4], [3]]
    with pytest.raises(InputError, match="`groups` has no label for the columns 'w', 'x'"):
        group_members(kind({"u": 1, "v": 1, "y": 2, "z": 2}), 6, names)
    with pytest.raises(InputError, match="columns that do not exist: 'q'"):
        group_members(kind(dict.fromkeys([*"uvwxyz", "q"], 1)), 6, names)


def test_an_index_without_names_of_columns():
    names = list("uvwxyz")
    plain = group_members(pd.Series(list("bbacab")), 6, names)
    assert [members.tolist() for members in plain] == [[0, 1, 5], [2, 4], [3]]
    with pytest.raises(InputError, match="an index without names of columns: 'a', 'b'"):
        group_members(pd.Series(list("bbacab"), index=list("abcdef")), 6, names)
    with pytest.raises(InputError, match="several labels for a column"):
        group_members(pd.Series(list("bbacabb"), index=list("uvwxyzz")), 6, names)


def test_names_with_wildcards_make_groups_of_what_a_pipeline_makes():
    names = ["cat__colour_red", "cat__colour_blue", "num__age", "cat__city_a", "num__b*"]
    found = group_members({"*colour_*": 1, "*city_?": 2}, 5, names)
    assert [members.tolist() for members in found] == [[0, 1], [2], [3], [4]]
    exact = group_members({"cat__*": 1, "num__age": 1, "num__b*": 2}, 5, names)
    assert [members.tolist() for members in exact] == [[0, 1, 2, 3], [4]]
    for wrong in ({"*color_*": 1}, {"cat_*": 1, "age": 2}):
        with pytest.raises(InputError, match="columns that do not exist: .*the columns are"):
            group_members(wrong, 5, names)
    with pytest.raises(InputError, match="several labels for the column 'cat__colour_red'"):
        group_members({"cat__*": 1, "*red": 2}, 5, names)
