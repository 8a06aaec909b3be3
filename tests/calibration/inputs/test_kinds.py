import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.inputs.kinds import STATISTICS, Statement, describe, subject
from l0.calibration.inputs.survey import read_survey
from l0.calibration.inputs.targets import read_targets
from l0.common.errors import InputError

HOMES = pd.DataFrame(
    {
        "id": range(4), "w": 1.0, "state": list("AABB"), "kind": list("xyxy"),
        "income": [1.0, 2, 3, 4], "tax": [1.0, 1, 1, 1],
    }
)  # fmt: skip


def read(*rows):
    return read_targets(pd.DataFrame(list(rows)), read_survey(HOMES, key="id", weight="w"))


def share(**changes):
    row = {"variable": "count", "statistic": "share", "state": "A", "kind": "x", "within": "state"}
    return {**row, "value": 0.5, **changes}


def mean(**changes):
    return {"variable": "income", "statistic": "mean", "value": 2.0, **changes}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([mean(statistic="average")],
         "`targets` column 'statistic' has 'average' (rows 0); it must be one of 'total', 'mean', "
         "'ratio', 'share', or empty for a total"),
        ([mean(statistic="ratio")],
         "`targets` have no `denominator` for some ratios ('ratio of income to '); name the column "
         "whose total is the denominator, or 'count'"),
        ([mean(denominator="tax")],
         "`targets` have a `denominator` where the `statistic` is not ratio ('mean income'); write "
         "ratio, or leave the cell empty"),
        ([mean(within="state", state="A")],
         "`targets` have labels in `within` where the `statistic` is not share "
         "('mean income by state=A within state'); write share, or leave the cell empty"),
        ([mean(variable="count")],
         "`targets` have the mean of 'count', which is always 1 ('mean count'); name the column "
         "whose mean is meant, or write total"),
        ([mean(statistic="ratio", denominator="income")],
         "`targets` have ratios of a column to itself, which are always 1 "
         "('ratio of income to income'); name another `denominator`"),
        ([share(state=None, kind=None, within=None), share()],
         "`targets` have shares of all rows, which are always 1 ('share of count'); give them "
         "labels; `within` names those that the larger cell keeps"),
        ([share(within="kind, state")],
         "`targets` have shares of a cell in itself, which are always 1 "
         "('share of count by state=A, kind=x within kind, state'); leave at least one of their "
         "labels out of `within`"),
        ([share(value=25.0)],
         "`targets` have shares outside of 0 to 1 "
         "('share of count by state=A, kind=x within state'); write 0.25 for 25%"),
        ([share(value=None, at_least=-0.1)], "have shares outside of 0 to 1"),
        ([share(within="stat")],
         "`targets` column 'within' names 'stat' for 'share of count by state=A, kind=x within "
         "stat', which has no such label; name label columns of the row, with commas between them; "
         "for 'stat', closest: 'state'"),
        ([mean(value=None, at_least=None, at_most=None, name="a"), mean(at_least=None)],
         "`targets` have neither a `value` nor a limit ('a'); give each a number in `value`, "
         "`at_least` or `at_most`, or drop the row"),
        ([mean(at_least=1.0)],
         "`targets` have a `value` and a limit ('mean income'); leave `value` empty, or `at_least` "
         "and `at_most`; a `tolerance` says how far an estimate may be from the value"),
        ([mean(value=None, at_least=3.0, at_most=2.0)],
         "`targets` have limits that cross: `at_least` is above `at_most` ('mean income'); "
         "exchange or correct them"),
        ([mean(value=None, at_least=np.inf)],
         "`targets` column 'at_least' is infinite for 1 target ('mean income'); write a finite "
         "number, or leave the cell empty"),
        ([mean(value=None, at_most="few")], "not a number ('few'); write plain numbers"),
        ([mean(), mean(value=3.0)],
         "`targets` have different values for one target (\"mean income: 2 (mean income), 3 (mean "
         "income)\"); keep one"),
        ([mean(name="a"), mean(name="a", statistic="total")],
         "`targets` use one name for different targets ('a'); rename all but one"),
        ([mean(name="a", value=None, at_least=1.0), mean(name="a", at_least=None)],
         "`targets` use one name for different targets ('a')"),
    ],
)  # fmt: skip
def test_a_wrong_statement_is_refused_with_the_remedy(rows, message):
    with pytest.raises(InputError, match=re.escape(message).replace('"', "['\"]")):
        read(*rows)


def test_a_table_without_values_and_limits_asks_for_values():
    with pytest.raises(InputError, match="`targets` has no column 'value'"):
        read({"variable": "count"})


@pytest.mark.parametrize(
    ("column", "use"),
    [
        ("statistic", "say whether a target is a total, a mean, a ratio or a share"),
        ("denominator", "name the denominators of ratios"),
        ("within", "name the labels of the cells that shares are a part of"),
        ("at_least", "give lower limits"),
        ("at_most", "give upper limits"),
    ],
)
def test_a_label_column_of_a_reserved_name_is_refused(column, use):
    homes = HOMES.assign(**{column: [1, 2, 1, 2]})
    targets = pd.DataFrame([{"variable": "count", "value": 2.0, column: 1}])
    message = (
        f"`targets` column '{column}' is also a column of `records`; to use it as a label, rename "
        f"it in both tables; to {use}, rename it in `records`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        read_targets(targets, read_survey(homes, key="id"))


def test_a_column_of_a_reserved_name_may_have_other_levels():
    homes = HOMES.assign(statistic=list("abcd"))
    table = read_targets(pd.DataFrame([mean()]), read_survey(homes, key="id"))
    assert table.statements[0].statistic == "mean"


def test_names_and_groups_tell_the_kind():
    table = read(
        mean(state="A"),
        mean(state="A", value=None, at_least=1.0, at_most=5.0),
        mean(statistic="ratio", denominator="tax"),
        share(),
        share(within=None, value=0.25),
        mean(statistic=None, state="B", value=None, at_most=9.0),
        mean(statistic="", state="B", value=None, at_most=9.0, at_least=1.0),
    )
    assert table.names == [
        "mean income by state=A",
        "mean income by state=A (at least)",
        "mean income by state=A (at most)",
        "ratio of income to tax",
        "share of count by state=A, kind=x within state",
        "share of count by state=A, kind=x",
        "income by state=B (at most)",
        "income by state=B (within limits)",
    ]
    assert table.groups[0] == table.groups[1] == "mean income by state"
    assert table.groups[4] == "share of count by state, kind within state"
    assert [of.numbers for of in table.statements] == [
        "2", "at least 1", "at most 5", "2", "0.5", "0.25", "at most 9", "1 to 9",
    ]  # fmt: skip


def test_a_denominator_has_the_value_of_a_target_for_it():
    table = read(
        {"variable": "count", "state": "A", "value": 2.5},
        {"variable": "tax", "state": "A", "value": None, "at_least": 7.0},
        mean(state="A"),
        mean(state="A", statistic="ratio", denominator="tax"),
        share(),
    )
    below = table.denominators()
    assert below.variables == ["count", "tax", "count"]
    assert below.labels == [(("state", "A"),)] * 3
    np.testing.assert_array_equal(below.values, [2.5, np.nan, 2.5])


def test_limits_may_be_equal():
    (of,) = read(mean(value=None, at_least=2.0, at_most=2.0)).statements
    assert of.form == "within limits"
    assert math.isnan(of.value)


@given(
    st.sampled_from(STATISTICS),
    st.lists(st.tuples(st.sampled_from("abc"), st.text("xy", min_size=1)), max_size=3),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_definition_tells_statements_apart(statistic, labels, value):
    of = Statement(statistic, "", "x", tuple(labels), "y", (), value, value, value)
    limit = Statement(statistic, "", "x", tuple(labels), "y", (), at_least=value)
    assert of.form == ""
    assert limit.form == "at least"
    assert of.definition != limit.definition
    assert describe("", subject(statistic, "x", "y"), labels)
