"""Problems from parquet files that may be larger than memory."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.checkpoints.fingerprint import describe_problem
from l0.calibration.mapped import mapped_tables
from l0.common.errors import InputError
from tests.calibration.test_compiled import assert_same_problem, assert_same_result


@pytest.fixture
def files(survey, tmp_path):
    """The survey as parquet files: small row groups, and members as a folder of parts."""
    survey.households.to_parquet(tmp_path / "homes.parquet", row_group_size=37)
    (tmp_path / "people").mkdir()
    survey.persons[:300].to_parquet(tmp_path / "people" / "0.parquet", row_group_size=37)
    survey.persons[300:].to_parquet(tmp_path / "people" / "1.parquet")
    return {
        "records": tmp_path / "homes.parquet", "targets": survey.targets, "key": "household",
        "weight": "weight", "members": {"person": tmp_path / "people"},
    }  # fmt: skip


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("zero_weights", ["error", "drop"])
def test_the_problem_is_that_of_frames(files, survey, tmp_path, zero_weights):
    if zero_weights == "drop":
        survey.households.loc[::9, "weight"] = 0.0
        survey.households.to_parquet(files["records"])
    files["zero_weights"] = zero_weights
    expected = CalibrationProblem.from_frames(**files)
    found = CalibrationProblem.from_files(**files, path=tmp_path / "made" / "problem.l0")
    assert_same_problem(expected, found)
    options = {
        "n_records": 60,
        "epochs": 8,
        "must_keep": [1001] if zero_weights == "error" else None,
    }
    assert_same_result(expected.solve(**options), found.solve(**options))
    assert left(tmp_path / "made") == ["problem.l0"]


def test_records_without_a_key_stay_in_their_order(files, tmp_path):
    targets = files["targets"]
    targets = targets[targets["entity"] == ""].drop(columns=["entity", "age"])
    expected = CalibrationProblem.from_frames(files["records"], targets, weight="weight")
    found = CalibrationProblem.from_files(
        files["records"], targets, tmp_path / "problem.l0", weight="weight"
    )
    assert_same_problem(expected, found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "nobody"}, "'nobody'"),
        ({"weight": "nobody"}, "'nobody'"),
        ({"key": "year"}, "`key` column 'year' repeats 2 keys"),
        ({"records": 3}, "`records` is a int; pass the path of a parquet file"),
        ({"members": {"person": 3}}, r"`members\['person'\]` is a int; pass the path of a parquet"),
        ({"members": [3]}, "`members` is a list; pass a dictionary of tables, such as .*parquet"),
        ({"key": None}, "`members` need the key of their record"),
    ],
)
def test_wrong_input_is_refused_and_leaves_nothing(files, tmp_path, change, said):
    before = left(tmp_path)
    with pytest.raises(InputError, match=said):
        CalibrationProblem.from_files(**{**files, **change}, path=tmp_path / "problem.l0")
    assert left(tmp_path) == before


def test_an_error_leaves_no_new_folder(files, tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    for wrong in ({"weight": "nobody"}, {"targets": tmp_path / "none.csv"}, {"key": "year"}):
        for folder in ("new", "new/inner", "old/inner", "old"):
            with pytest.raises((InputError, FileNotFoundError)):
                CalibrationProblem.from_files(
                    **{**files, **wrong}, path=tmp_path / folder / "problem.l0"
                )
            assert left(tmp_path) == ["homes.parquet", "old", "people"]
            assert left(tmp_path / "old") == []
    # A folder in which another file has come meanwhile stays.
    monkeypatch.setattr(
        CalibrationProblem,
        "save",
        lambda problem, path: (path.parent / "other").write_text("") / "cannot be saved",
    )
    with pytest.raises(TypeError):
        CalibrationProblem.from_files(**files, path=tmp_path / "new" / "inner" / "problem.l0")
    assert left(tmp_path / "new" / "inner") == ["other"]


@pytest.mark.parametrize("shuffled", [True, False])
def test_keys_may_be_the_index_of_pandas(files, survey, tmp_path, shuffled):
    homes = survey.households if shuffled else survey.households.sort_values("household")
    homes = homes.set_index("household")
    if not shuffled:  # newer versions of pandas find this range themselves
        homes.index = pd.RangeIndex(1000, 1400, name="household")
    homes.to_parquet(files["records"])
    files["members"] = {"person": tmp_path / "people.parquet"}
    persons = survey.persons.set_index(["household", survey.persons.index])
    persons.to_parquet(files["members"]["person"])
    expected = CalibrationProblem.from_frames(
        **{**files, "records": homes, "members": {"person": persons}}
    )
    for found in (
        CalibrationProblem.from_frames(**files),
        CalibrationProblem.from_files(**files, path=tmp_path / "problem.l0"),
    ):
        assert describe_problem(found) == describe_problem(expected)
    result = expected.solve(60, epochs=8)
    assert result.select(homes)["household"].tolist() == result.weights["household"].tolist()


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_row_numbers_of_pandas_are_no_amount(survey, tmp_path, suffix):
    """A file of moved rows has the column `__index_level_0__`."""
    options = survey.options()
    homes, targets = options.pop("records"), options.pop("targets")
    few = homes.sort_values("household")
    path = tmp_path / f"homes.{suffix}"
    table = pa.Table.from_pandas(few)
    assert table.column_names[-1] == "__index_level_0__"
    (pa.parquet.write_table if suffix == "parquet" else pa.feather.write_feather)(table, path)
    expected = CalibrationProblem.from_frames(few, targets, **options)
    found = CalibrationProblem.from_frames(path, targets, **options)
    assert describe_problem(found) == describe_problem(expected)
    named = expected.untargeted.column_types[""]
    assert named.amounts == ["income", "wealth"]


def test_the_file_to_write_is_none_of_those_that_are_read(files, tmp_path):
    targets = tmp_path / "targets.parquet"
    files["targets"].to_parquet(targets)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    people = files["members"]["person"]
    for path, said in (
        (files["records"], "'.*homes.parquet' is a file that is read; write to another one"),
        (targets, "'.*targets.parquet' is a file that is read"),
        (people / "problem.l0", "is inside of the folder '.*people', which is read"),
        (people, "'.*people' is a folder; name a file"),
    ):
        with pytest.raises(InputError, match=f"`path`: .*{said}"):
            CalibrationProblem.from_files(**{**files, "targets": targets}, path=path)
    with pytest.raises(InputError, match="`path` is a NoneType; pass the path of the file to"):
        CalibrationProblem.from_files(**files, path=None)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_null_keys_are_named_by_their_rows_in_the_file(tmp_path):
    homes = pa.table({"id": [5, None, 3], "w": [1.0, 1.0, 1.0]})
    pa.parquet.write_table(homes, tmp_path / "homes.parquet")
    with pytest.raises(InputError, match=r"is null in 1 row \(rows 1\)"):
        CalibrationProblem.from_files(
            tmp_path / "homes.parquet", None, tmp_path / "problem.l0", key="id", weight="w"
        )


def test_the_tables_are_sorted_and_say_where_their_rows_were(files, survey, tmp_path):
    with mapped_tables(files["records"], files["members"], "household", tmp_path) as tables:
        keys = tables.records.column("household").to_numpy()
        assert (np.diff(keys) > 0).all()
        np.testing.assert_array_equal(survey.households["household"].to_numpy()[tables.order], keys)
        assert tables.members["person"].column("age").to_pylist() == survey.persons["age"].tolist()
