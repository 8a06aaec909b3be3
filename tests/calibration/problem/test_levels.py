import pandas as pd
import pytest

from l0.calibration.inputs.survey import read_survey
from l0.calibration.inputs.targets import read_targets
from l0.calibration.problem.levels import check_levels
from l0.common.errors import InputError

HOMES = pd.DataFrame({"w": [10.0] * 6, "area": ["A", "A ", "A", "B", "B", "C"], "size": [1] * 6})


def found(**columns):
    """Collect what is found on targets with these labels, of value 5."""
    table = pd.DataFrame({"variable": "count", "value": 5.0, **columns})
    survey = read_survey(HOMES, weight="w")
    findings = []
    check_levels(read_targets(table, survey), survey, findings.append)
    return findings


def test_levels_that_differ_by_a_blank_are_named_with_their_rows():
    (finding,) = found(area=["A", "B"])
    assert finding.what.endswith("blanks or case ('A' in 2 rows and 'A ' in 1 row)")
    assert finding.names == ("area",)


def test_levels_that_differ_by_a_blank_may_each_have_a_target():
    assert found(area=["A", "A ", "B"]) == []


@pytest.mark.parametrize(
    ("level", "remedy"),
    [("b", "only in blanks or case: 'b' for 'B'"), ("D", "for 'D', there are: 'A', 'A ', 'B'")],
)
def test_a_level_that_no_row_has_is_found_with_its_likes(level, remedy):
    (finding,) = found(area=["C", level])
    assert finding.names == (f"count by area={level}",)
    assert remedy in finding.remedy


def test_a_level_that_no_row_has_may_be_0_but_not_in_another_spelling():
    assert found(area=["C", "D"], value=[5.0, 0.0]) == []
    assert len(found(area=["C", "b"], value=[5.0, 0.0])) == 1


def test_all_columns_are_checked_and_by_default_the_first_is_an_error():
    both = {"area": ["D", None], "size": [None, 7]}
    assert [finding.what.split(" (")[0] for finding in found(**both)] == [
        "`targets` ask for 'D' in column 'area'", "`targets` ask for '7' in column 'size'",
    ]  # fmt: skip
    survey = read_survey(HOMES, weight="w")
    table = pd.DataFrame({"variable": "count", "value": 5.0, **both})
    with pytest.raises(InputError, match="'D' in column 'area'"):
        check_levels(read_targets(table, survey), survey)
