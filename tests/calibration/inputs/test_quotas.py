import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from l0.calibration.inputs.quotas import read_quotas
from l0.calibration.inputs.survey import read_survey
from l0.common.errors import InputError
from l0.data.codings import Coding

HOMES = pd.DataFrame(
    {
        "id": [40, 10, 30, 20, 50],
        "w": np.ones(5),
        "area": ["N", "S", "N", "S", None],
        "year": [2021, 2021, 2022, 2022, 2022],
        "owner": [True, False, True, True, False],
    }
)
PERSONS = pd.DataFrame({"id": [10, 10, 40], "age": ["a", "b", "b"]})


@pytest.fixture
def survey():
    return read_survey(HOMES, key="id", weight="w", members={"person": PERSONS})


def keys(survey, quota):
    return survey.keys.take(quota.records).to_pylist()


def test_a_row_is_a_cell_with_its_limits(survey):
    table = pd.DataFrame(
        {
            "area": ["N", "S", None],
            "year": [None, 2021.0, 2022.0],
            "min_records": [1, 0, None],
            "max_records": [None, 1, 3],
        }
    )
    cells = read_quotas(table, survey)
    assert [cell.name for cell in cells] == ["area=N", "area=S, year=2021", "year=2022"]
    assert [keys(survey, cell) for cell in cells] == [[30, 40], [10], [20, 30, 50]]
    assert [(cell.least, cell.most) for cell in cells] == [(1, None), (0, 1), (0, 3)]


def test_row_numbers_are_no_label(survey):
    table = pd.DataFrame({"": [1, 2], "area": ["S", "N"], "min_records": [1, 2]})
    assert [cell.name for cell in read_quotas(table, survey)] == ["area=N", "area=S"]
    with pytest.raises(InputError, match="`quotas` have a column without a name"):
        read_quotas(table[::-1], survey)


def test_the_order_of_the_rows_does_not_matter(survey):
    table = pd.DataFrame({"area": ["S", "N"], "owner": ["true", ""], "min_records": [1, 2]})
    one, other = read_quotas(table, survey), read_quotas(table[::-1], survey)
    assert [(cell.name, cell.least) for cell in one] == [(cell.name, cell.least) for cell in other]
    assert [keys(survey, cell) for cell in one] == [[30, 40], [20]]


def test_a_row_without_labels_is_about_all_records(survey):
    (cell,) = read_quotas(pd.DataFrame({"area": [None], "max_records": [4]}), survey)
    assert (cell.name, len(cell.records), cell.most) == ("all records", 5, 4)


def test_every_kind_of_table_says_the_same(survey, convert, kind):
    table = pd.DataFrame({"area": ["N", "S"], "year": [2021, 2022], "min_records": [1, 1]})
    cells = read_quotas(convert(table, kind, "quotas"), survey)
    assert [cell.name for cell in cells] == ["area=N, year=2021", "area=S, year=2022"]
    assert [keys(survey, cell) for cell in cells] == [[40], [20]]


def test_a_level_that_no_record_has_may_have_no_minimum(survey):
    (cell,) = read_quotas(pd.DataFrame({"area": ["W"], "max_records": [4]}), survey)
    assert len(cell.records) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"area": ["N"]}, "`quotas` have neither a column 'min_records' nor 'max_records'"),
        ({"area": ["N"], "min": [1]}, "for 'min_records', "),
        ({"aera": ["N"], "min_records": [1]}, "columns 'aera', which `records` do not have"),
        ({"aera": ["N"], "min_records": [1]}, "for 'aera', closest: 'area'"),
        ({"age": ["a"], "min_records": [1]}, "columns 'age', which only `members` have"),
        ({"area": ["W", "N"], "min_records": [1, 1]}, "ask for records with 'W' in the column"),
        ({"area": ["n"], "max_records": [1]}, "name 'n', and the column 'area' .* also has 'N'"),
        ({"area": ["N", "N"], "min_records": [1, 2]}, "more than one row for 'area=N'; keep one"),
        ({"area": ["N"], "min_records": [1.5]}, r"'min_records' has .*\('area=N: 1.5'\)"),
        ({"area": ["N"], "max_records": [-1]}, r"'max_records' has .*\('area=N: -1'\)"),
        ({"area": ["N"], "max_records": [np.inf]}, "write whole numbers of at least 0"),
        ({"area": ["N"], "max_records": ["few"]}, "not a number .'few'.; write whole numbers"),
        ({"area": ["N"], "max_records": [True]}, "bool, not a number"),
        ({"area": ["N"], "max_records": [None]}, "`quotas` have no limit for 'area=N'"),
        (
            {"area": ["N"], "min_records": [2], "max_records": [1]},
            "`min_records` above `max_records` for 'area=N'; exchange or correct them",
        ),
    ],
)
def test_a_wrong_table_is_refused(survey, table, message):
    with pytest.raises(InputError, match=message):
        read_quotas(pd.DataFrame(table), survey)


def test_a_table_is_a_frame_or_a_file(survey):
    with pytest.raises(InputError, match="`quotas` is a dict; pass a pandas, polars or pyarrow"):
        read_quotas({"area": "N"}, survey)


def test_labels_that_a_csv_file_merges_are_refused(tmp_path):
    path = tmp_path / "homes.csv"
    path.write_text("id,w,code\n1,1,5.1\n2,1,5.10\n3,1,7\n")
    survey = read_survey(path, key="id", weight="w")
    with pytest.raises(InputError, match="`quotas` use the label 'code', .* are the same number"):
        read_quotas(pd.DataFrame({"code": ["7"], "min_records": [1]}), survey)


def test_a_column_that_cannot_be_a_label_is_refused():
    homes = HOMES.assign(parts=[[1], [2], [3], [4], [5]])
    survey = read_survey(homes, key="id", weight="w")
    with pytest.raises(InputError, match="use the label 'parts', and that column of `records` is"):
        read_quotas(pd.DataFrame({"parts": ["1"], "min_records": [1]}), survey)


def test_codes_of_a_labelled_table_mean_its_own_labels():
    homes = pa.table({"area": [1, 2, 2]})
    field = Coding("stata", values=[[1, "North"], [2, "South"]]).on(homes.schema.field("area"))
    other = Coding("stata", values=[[1, "South"]]).on(homes.schema.field("area"))
    table = pa.table({"area": [1], "max_records": [1]})
    table = table.cast(pa.schema([other, table.schema.field("max_records")]))
    (quota,) = read_quotas(table, read_survey(homes.cast(pa.schema([field]))))
    assert (quota.name, len(quota.records)) == ("area=2", 2)
