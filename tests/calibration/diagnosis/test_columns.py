import pandas as pd
import pyarrow as pa

from l0.calibration.diagnosis.columns import left_out, repeated, useless_columns
from l0.calibration.inputs.survey import read_survey
from l0.calibration.inputs.targets import read_targets


def test_columns_of_no_use_are_named_with_their_type():
    homes = pa.table({"id": [1, 2], "w": [1.0, 2.0], "pets": [["cat"], []]})
    survey = read_survey(homes, key="id", weight="w", members={"person": homes})
    findings = list(useless_columns(survey))
    assert [finding.names for finding in findings] == [("pets (list<item: string>)",)] * 2
    assert "`members['person']`" in findings[1].what


def test_huge_integers_are_of_no_use():
    homes = pd.DataFrame({"w": [1.0, 2.0], "code": [10**30, 2]})
    (finding,) = useless_columns(read_survey(homes, weight="w"))
    assert finding.severity == "note"
    assert finding.names[0].startswith("code (")


def test_records_of_weight_0_are_counted():
    homes = pd.DataFrame({"w": [1.0, 0.0, 0.0]})
    (finding,) = left_out(read_survey(homes, weight="w", zero_weights="drop"))
    assert finding.what.startswith("2 records have a design weight of 0")
    assert list(left_out(read_survey(homes[:1], weight="w"))) == []


def test_repeated_targets_are_named_once():
    survey = read_survey(pd.DataFrame({"w": [1.0, 2.0], "area": ["A", "B"]}), weight="w")
    table = pd.DataFrame(
        {"variable": "count", "area": ["A", "A", "A", "B", None], "value": [1.0, 1, 1, 2, 3]}
    )
    (finding,) = repeated(read_targets(table, survey))
    assert (finding.names, finding.count) == (("count by area=A",), 1)
    assert list(repeated(read_targets(table[2:], survey))) == []
