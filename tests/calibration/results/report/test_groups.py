import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.report.groups import MOST, Groups


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(-1e6, 1e6)), min_size=1))
def test_sums_and_means_are_those_of_the_rows_of_a_label(rows):
    labels, values = [row[0] for row in rows], np.array([row[1] for row in rows])
    groups = Groups(pa.chunked_array([labels]))
    found = groups.rows({"sum": groups.sum(values), "mean": groups.mean(values)}, by="sum")
    assert {row["name"] for row in found} == set(labels)
    assert [row["sum"] for row in found] == sorted((row["sum"] for row in found), reverse=True)
    for row in found:
        inside = values[np.array(labels) == row["name"]]
        assert row["count"] == len(inside)
        assert row["sum"] == pytest.approx(inside.sum(), abs=1e-6)
        assert row["mean"] == pytest.approx(inside.mean(), abs=1e-6)


def test_the_largest_groups_are_kept():
    labels = [f"{place:03d}" for place in range(MOST + 5)]
    groups = Groups(pa.chunked_array([labels]))
    found = groups.rows({"sum": groups.sum(np.arange(MOST + 5.0))}, by="sum")
    assert [row["name"] for row in found] == labels[:4:-1]
