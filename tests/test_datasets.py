import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest

from l0.calibration import CalibrationProblem
from l0.common.errors import InputError
from l0.datasets import cps_paths, load_cps

ROWS = (277_262, 539_425, 1_776)


@pytest.mark.parametrize("kind", [pa.Table, pd.DataFrame, pl.DataFrame])
def test_three_tables_of_the_kind_asked_for(kind):
    cps = load_cps(kind.__module__.split(".")[0])
    for table, rows in zip(cps, ROWS, strict=True):
        assert isinstance(table, kind)
        assert table.shape[0] == rows


def test_without_a_kind_they_are_arrow_tables():
    assert all(isinstance(table, pa.Table) for table in load_cps())


def test_a_kind_that_there_is_not_is_named():
    with pytest.raises(InputError, match="`kind` is 'dask'; pass one of 'pandas', 'polars', 'pya"):
        load_cps("dask")


def test_licence_and_provenance_stand_beside_the_files():
    paths = cps_paths()
    assert all(path.is_file() for path in paths)
    readme = (paths.tax_units.parent / "README.md").read_text(encoding="utf-8")
    for path in paths:
        assert path.name in readme
    for words in ("Current Population Survey", "CC0", "Census Bureau", "Internal Revenue", "Food"):
        assert words in readme.replace("IRS", "Internal Revenue"), words
    for rows in ROWS:
        assert f"{rows:,}" in readme


def test_every_total_has_a_source():
    targets = load_cps().targets.to_pandas()
    assert targets["source"].notna().all()
    assert targets["name"].is_unique
    assert np.isfinite(targets["value"]).all()


def test_the_survey_compiles_and_eight_totals_have_no_record():
    cps = load_cps()
    problem = CalibrationProblem.from_frames(
        *cps[::2], key="tax_unit_id", weight="weight", members={"person": cps.persons}
    )
    assert problem.matrix.shape == (1_776, 277_262)
    assert (np.diff(problem.matrix.indptr) == 0).sum() == 8
    from_files = CalibrationProblem.from_frames(
        *cps_paths()[::2], key="tax_unit_id", weight="weight",
        members={"person": cps_paths().persons},
    )  # fmt: skip
    assert (from_files.matrix != problem.matrix).nnz == 0

    # Two rows of the matrix by hand.
    units, persons, targets = (table.to_pandas() for table in cps)
    weight = units.set_index("tax_unit_id")["weight"].astype(float)
    estimate = dict(zip(problem.names, problem.estimate(problem.design_weights), strict=True))
    inside = persons["age_band"] == "25-29"
    units = units.set_index("tax_unit_id")
    texas = persons["tax_unit_id"].map(units["state"].astype(str)) == "TX"
    assert estimate["population/TX/25-29"] == pytest.approx(
        persons["tax_unit_id"][inside & texas].map(weight).sum()
    )
    wages = targets[(targets["variable"] == "wages") & targets["state"].isna()].iloc[0]
    everyone = (units["wages"].astype(float) * weight).sum()
    assert wages.isna()["agi_band"] and estimate[wages["name"]] == pytest.approx(everyone)
