import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem, targets_template
from l0.common.errors import InputError

texts = st.sampled_from(["A", "A ", "a", "01", "1", "x y", "é", "true", "1e3", None])
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@st.composite
def surveys(draw):
    """Draw records with labels of several types, and persons with a label of their own."""
    n = draw(st.integers(2, 8))
    m = draw(st.integers(1, 8))

    def column(values, size, kind):
        first = draw(values.filter(lambda value: value is not None))  # some cell there must be
        return pa.array(
            [first, *draw(st.lists(values, min_size=size - 1, max_size=size - 1))], kind
        )

    records = pa.table(
        {
            "id": np.arange(n),
            "w": column(st.floats(0.5, 1e4), n, pa.float64()),
            "text": column(texts, n, pa.string()),
            "whole": column(st.sampled_from([1, 2, -3, None]), n, pa.int32()),
            "flag": column(st.sampled_from([True, False, None]), n, pa.bool_()),
            "real": column(st.sampled_from([0.5, 2.0, None]), n, pa.float64()),
            "income": column(numbers, n, pa.float64()),
        }
    )
    persons = pa.table(
        {
            "id": draw(st.lists(st.integers(0, n - 1), min_size=m, max_size=m)),
            "age": column(st.sampled_from(["0-17", "18+"]), m, pa.string()),
            "earnings": column(numbers, m, pa.float64()),
        }
    )
    return records, persons


def check_met(template, records, **options):
    problem = CalibrationProblem.from_frames(records, template, **options)
    errors = problem.relative_errors(problem.errors(problem.design_estimates))
    np.testing.assert_allclose(errors, 0, atol=1e-9)
    return problem


@settings(deadline=None, max_examples=60)
@given(
    drawn=surveys(),
    margins=st.lists(
        st.sets(st.sampled_from(["text", "whole", "flag", "real"]), min_size=1, max_size=2),
        max_size=3,
    ),
    weighted=st.booleans(),
)
def test_the_design_weights_meet_the_template(drawn, margins, weighted):
    records, persons = drawn
    options = {"key": "id", "members": {"person": persons}}
    if weighted:
        options["weight"] = "w"
    try:
        template = targets_template(
            records, by=[sorted(margin) for margin in margins], variables=["count", "income"],
            **options,
        )  # fmt: skip
    except InputError as error:
        # A spelling may be in no cell, because all of its rows have another label that is empty.
        assert re.search("leave no cell|differ only in blanks or case", str(error))
        return
    check_met(template, records, **options)


@settings(deadline=None, max_examples=30)
@given(drawn=surveys())
def test_members_are_counted_by_labels_of_both_tables(drawn):
    records, persons = drawn
    options = {"key": "id", "weight": "w", "members": {"person": persons}}
    template = targets_template(
        records, by=["age"], variables=["earnings", "count"], entity="person", **options
    )
    assert set(template.column("entity").to_pylist()) == {"person"}
    check_met(template, records, **options)


def test_the_values_are_the_weighted_totals(survey):
    given = survey.options()
    households = given.pop("records")
    given.pop("targets")
    template = targets_template(
        households, by=["state", ("state", "band")], variables=["count", "income"], **given
    )
    assert list(template) == ["variable", "state", "band", "value", "source"]
    assert len(template) == 2 * (4 + 12)
    weight = households["weight"]
    for row in template.to_dict("records"):
        inside = households["state"] == row["state"]
        if isinstance(row["band"], str):
            inside &= households["band"] == row["band"]
        amount = 1 if row["variable"] == "count" else households["income"]
        assert row["value"] == pytest.approx((weight * amount)[inside].sum())
        assert row["source"] == f"survey ({inside.sum():,} records)"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_it_is_met_too(survey, tmp_path, suffix):
    given = survey.options()
    given.pop("targets")
    template = targets_template(
        **given, by=[("state", "age")], entity="person", variables=["earnings"], kind="pyarrow"
    )
    path = tmp_path / f"targets.{suffix}"
    write = pa.csv.write_csv if suffix == "csv" else pa.parquet.write_table
    write(template, path)
    check_met(path, given.pop("records"), **given)


def test_without_margins_it_has_the_totals_over_all_rows():
    homes = pl.DataFrame({"size": [1, 2, 3]})
    template = targets_template(homes, variables=["count", "size", "count"])
    assert isinstance(template, pl.DataFrame)
    assert template["value"].to_list() == [3.0, 6.0]


def test_one_margin_twice_is_one_margin():
    homes = pd.DataFrame({"a": ["x", "y"], "b": ["u", "u"]})
    assert len(targets_template(homes, by=[("a", "b"), ("b", "a"), "a"])) == 4


def test_a_column_is_a_margin_by_itself_and_counts_once_in_a_margin():
    homes = pd.DataFrame({"area": ["x", "y"]})
    alone = targets_template(homes, by=["area"])
    pd.testing.assert_frame_equal(targets_template(homes, by="area"), alone)
    pd.testing.assert_frame_equal(targets_template(homes, by=[("area", "area")]), alone)


def test_units_without_a_label_are_in_no_cell_and_it_says_so(caplog):
    homes = pd.DataFrame({"w": [1.0, 2.0, 4.0], "area": ["N", None, "N"]})
    assert targets_template(homes, by=["area"], weight="w")["value"].tolist() == [5.0]
    (record,) = caplog.records
    assert record.getMessage() == (
        "1 of 3 rows of `records` have an empty label in 'area', and are in no cell"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ["aera"]}, "`by` names the column 'aera', which `records` does not have; closest"),
        ({"by": [3]}, r"`by` is \[3\]; pass a list of label columns, and of lists of them"),
        ({"by": None}, "`by` is None; pass a list of label columns, and of lists of them"),
        ({"by": [["area", 3]]}, "pass a list of label columns, and of lists of them"),
        ({"by": ["group"]}, "'group', which has another meaning in a table of targets; rename"),
        ({"by": ["empty"]}, "`by` names the columns 'empty', which leave no cell"),
        ({"by": ["pets"]}, "'pets', which is list<.*; convert it to text"),
        ({"variables": ["incme"]}, "`variables` names the column 'incme'.* closest: 'income'"),
        ({"variables": ["area"]}, "the variable 'area' .* not a number"),
        (
            {"entity": "person"},
            "`entity` is 'person', and no table in `members` has this name; pass its "
            "table, or leave `entity` out for the records$",
        ),
        ({"kind": "numpy"}, "`kind` is 'numpy'"),
    ],
)
def test_wrong_input_is_explained(options, message):
    homes = pd.DataFrame(
        {"area": ["N"], "income": [1.0], "group": ["g"], "empty": [None], "pets": [["cat"]]}
    )
    with pytest.raises(InputError, match=message):
        targets_template(homes, **options)
