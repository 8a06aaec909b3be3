import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import l0
from l0.calibration import CalibrationProblem, CalibrationResult
from l0.calibration.evaluation.target_labels import OWN, PREFIX, label_columns, labels_of
from tests.calibration import problems

NAMES = st.lists(
    st.sampled_from([*OWN, "state", *(PREFIX + name for name in OWN), PREFIX * 2 + "error"]),
    unique=True,
)


@given(NAMES)
def test_each_label_column_has_a_name_of_its_own(names):
    table = pa.table({name: [str(place)] for place, name in enumerate(names)})
    found = label_columns(table)
    assert len(found) == len(names) and not set(found) & set(OWN)
    assert [column.to_pylist() for column in found.values()] == [
        [str(place)] for place in range(len(names))
    ]
    assert set(names) - set(OWN) <= set(found)  # names that are free stay
    assert labels_of([*OWN, *found]) == list(found)


def test_a_matrix_has_no_labels():
    assert label_columns(None) == {}
    solved = CalibrationProblem.from_matrix(**problems.parts()).solve(10, epochs=2)
    assert labels_of(solved.targets.column_names) == []


@pytest.fixture(scope="module")
def tables():
    n = 60
    rng = np.random.default_rng(0)
    homes = pd.DataFrame({
        "id": np.arange(n), "w": 10.0, "state": rng.choice(["07", "NY"], n),
        "error": rng.choice(["yes", "no"], n), 'age, "years"': rng.choice(["1", "2"], n),
    })  # fmt: skip
    rows = [
        {name: level, "value": 10.0 * (homes[name] == level).sum() * 1.02}
        for name in ("state", "error", 'age, "years"')
        for level in sorted(set(homes[name]))
    ]
    targets = pd.DataFrame([{"variable": "count", **row} for row in rows[::-1]])
    return homes, targets


def test_labels_stand_beside_the_targets_and_are_stored(tables, tmp_path):
    homes, targets = tables
    result = l0.calibrate(
        homes, targets, key="id", weight="w", n_records=30, method="random", holdout=["*NY*"]
    )
    found = result.targets
    assert found["value"].to_list() == targets["value"].to_list()
    for name, column in (("state", "state"), ("error", "label_error")):
        assert found[column].to_list() == targets[name].fillna("").to_list()
    assert found['age, "years"'].to_list() == targets['age, "years"'].fillna("").to_list()
    assert set(found["entity"]) == {""} and set(found["variable"]) == {"count"}
    assert found.set_index("state").loc["NY", "status"] == "held out"
    result.save(tmp_path / "with")
    loaded = CalibrationResult.load(tmp_path / "with")
    assert loaded.tables["targets"].equals(result.tables["targets"])
    assert pd.read_csv(tmp_path / "with" / "targets.csv").columns.to_list() == list(found.columns)
    loaded.tables["targets"] = loaded.tables["targets"].select(
        [name for name in found.columns if name in OWN]
    )
    loaded.save(tmp_path / "without")
    again = CalibrationResult.load(tmp_path / "without")
    assert labels_of(again.tables["targets"].column_names) == []


@pytest.mark.parametrize("name", ["x\ry", "x\r\ny", "x\ny", '"', "nan", "row", "\ufeffx"])
def test_odd_labels_and_names_of_label_columns_are_stored(tmp_path, name):
    levels = ["01", "1", "1.0", "nan", "NULL", "N/A", " ", "a\rb", "a\r\nb", '"', ","]
    homes = pd.DataFrame({"id": np.arange(110), "w": 10.0, name: levels * 10})
    targets = pd.DataFrame({"variable": "count", name: [*levels, None], "value": 100.0})
    targets.loc[len(levels), "value"] = 1100.0
    result = l0.calibrate(homes, targets, key="id", weight="w")
    assert result.targets[name].to_list() == [*levels, ""]
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.tables["targets"].equals(result.tables["targets"])
    loaded.to_html(tmp_path / "again.html")
    again = (tmp_path / "again.html").read_bytes()
    assert again == (tmp_path / "out" / "report.html").read_bytes()


@pytest.mark.parametrize("bounds", [None, (0.5, 2.0)])
def test_a_spoilt_target_is_suspect_whatever_the_bounds(tmp_path, bounds):
    rng = np.random.default_rng(2)
    states = list("ABCDEFGH")
    homes = pd.DataFrame({"id": np.arange(1600), "w": 10.0, "state": rng.choice(states, 1600)})
    totals = homes.groupby("state")["w"].sum() * rng.uniform(0.95, 1.05, 8)
    totals["C"] *= 6
    targets = pd.DataFrame({"variable": "count", "state": states, "value": totals[states]})
    result = l0.calibrate(homes, targets, key="id", weight="w", bounds=bounds)
    found = result.targets.set_index("state")["suspect_factor"]
    assert found.dropna().index.to_list() == ["C"]
    assert found["C"] == pytest.approx(6, rel=0.1)
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out").tables["targets"]
    assert loaded.equals(result.tables["targets"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 target is <b>suspect</b>" in page
