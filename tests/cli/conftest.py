"""Files that commands read."""

import pandas as pd
import pytest


@pytest.fixture
def source(survey, tmp_path):
    """A folder with the files of a survey, and with files that are none."""
    folder = tmp_path / "source"
    folder.mkdir()
    survey.households.to_parquet(folder / "households.parquet")
    survey.persons.to_csv(folder / "persons.csv", index=False)
    survey.targets.to_csv(folder / "targets.csv", index=False)
    (folder / "empty.csv").touch()
    (folder / "notes.txt").write_text("no table")
    (folder / "broken.parquet").write_text("no parquet")
    return folder


@pytest.fixture
def files(source, tmp_path, monkeypatch):
    """Work in an empty folder, and give the arguments that name the survey."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return [
        str(source / "households.parquet"), str(source / "targets.csv"), "--key", "household",
        "--weight", "weight", "--members", f"person={source / 'persons.csv'}", "--epochs", "30",
    ]  # fmt: skip


#: Stata has no booleans.
OWNER = {0: "false", 1: "true"}


@pytest.fixture
def programs(survey, source, monkeypatch, tmp_path):
    """The survey as a file of Stata, one of SPSS and a workbook, with labels and missing codes."""
    pyreadstat = pytest.importorskip("pyreadstat")
    xlsxwriter = pytest.importorskip("xlsxwriter")
    monkeypatch.chdir(tmp_path)
    homes = survey.households.copy()
    bands = sorted(homes["band"].unique())
    homes["band"] = homes["band"].map(bands.index).astype("int32")
    homes["rent"] = pd.Series([100, "a", "b", None] * (len(homes) // 4), dtype=object)
    pyreadstat.write_dta(
        homes, "homes.dta", file_label="Homes", column_labels={"weight": "Design weight"},
        variable_value_labels={
            "band": dict(enumerate(bands)), "owner": OWNER, "rent": {"a": "refused"},
        },
        missing_user_values={"rent": ["a", "b"]},
    )  # fmt: skip
    persons = survey.persons.copy()
    persons["hours"] = [40.0, 98.0, 99.0] * (len(persons) // 3) + [0.0] * (len(persons) % 3)
    pyreadstat.write_sav(
        persons, "persons.sav", missing_ranges={"hours": [{"lo": 98, "hi": 99}]},
        variable_value_labels={"hours": {98.0: "refused", 99.0: "unknown"}},
    )  # fmt: skip
    book = xlsxwriter.Workbook("totals.xlsx")
    book.add_worksheet("Notes").write(0, 0, "Totals of 2020")
    sheet = book.add_worksheet("Totals")
    targets = survey.targets.astype(object).where(survey.targets.notna(), None)
    for row, cells in enumerate([targets.columns, *targets.itertuples(index=False)]):
        for column, cell in enumerate(cells):
            if cell is not None:
                sheet.write(row, column, cell)
    book.close()
    return pyreadstat, [
        "homes.dta", "totals.xlsx#Totals", "--key", "household", "--weight", "weight", "--members",
        "person=persons.sav", "--epochs", 30, "--n-records", 40,
    ]  # fmt: skip
