import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration import CalibrationResult
from l0.calibration.results.storage import LAYOUT
from l0.common.errors import InputError


def test_records_and_members_are_counted_as_kept_and_weighted(tmp_path):
    rng = np.random.default_rng(0)
    homes = pd.DataFrame({"id": rng.permutation(80), "w": rng.uniform(5, 15, 80)})
    persons = pd.DataFrame({"id": np.r_[homes["id"], homes["id"][:50]]})
    targets = pd.DataFrame({"entity": ["person"], "variable": "count", "value": [1500.0]})
    result = l0.calibrate(
        homes, targets, key="id", weight="w", members={"person": persons}, n_records=30,
        method="random",
    )  # fmt: skip
    records, members = result.tables["entities"].to_pylist()
    assert (records["entity"], records["rows"], records["rows_kept"]) == ("", 80, 30)
    assert records["design_total"] == pytest.approx(homes["w"].sum())
    assert records["total"] == pytest.approx(result.values.sum())
    chosen = result.select(persons)
    assert (members["entity"], members["rows"]) == ("person", 130)
    assert members["rows_kept"] == len(chosen)
    assert members["total"] == pytest.approx(chosen["w"].sum())
    assert members["design_total"] == pytest.approx(homes["w"].sum() + homes["w"][:50].sum())
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.tables["entities"].equals(result.tables["entities"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>Records and members</b>" in page
    assert tuple(loaded.tables["entities"].column_names) == LAYOUT["entities.csv"]
    (tmp_path / "out" / "entities.csv").write_text("")
    with pytest.raises(InputError, match="entities.csv"):
        CalibrationResult.load(tmp_path / "out")
    (tmp_path / "out" / "entities.csv").unlink()
    assert "entities" not in CalibrationResult.load(tmp_path / "out").tables
