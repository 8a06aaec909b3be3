import errno
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem, CalibrationResult
from l0.calibration.results import storage
from l0.common.errors import InputError
from tests.calibration.results.test_result import solve
from tests.calibration.variance.samples import with_replicates

LOG_HEADER = (
    "target_name,estimate,target,epoch,error,rel_error,abs_error,rel_abs_error,loss"
)  # fmt: skip
FILES = {
    "weights.parquet", "targets.csv", "untargeted.csv", "history.csv", "calibration_log.csv",
    "metrics.json", "run.json", "report.html",
}  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return solve()


def test_a_saved_result_comes_back(result, tmp_path):
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert list(loaded.tables) == [
        "targets", "untargeted", "history", "calibration_log", "weights",
    ]  # fmt: skip
    for name, table in result.tables.items():
        assert loaded.tables[name].equals(table), name
    assert loaded.metrics == result.metrics
    assert loaded.run == result.run
    np.testing.assert_array_equal(loaded.indices, result.indices)
    np.testing.assert_array_equal(loaded.values, result.values)


def test_a_loaded_result_can_be_saved_again(result, tmp_path):
    result.save(tmp_path / "one")
    CalibrationResult.load(tmp_path / "one").save(tmp_path / "two")
    for name in FILES - {"report.html"}:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_numbers_that_happen_to_be_whole_stay_floats(tmp_path):
    A = np.eye(3)
    result = CalibrationProblem.from_matrix(A, [1, 2, 3], np.ones(3), names=["1", "2", "3"]).solve(
        epochs=1
    )
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.tables["targets"].schema.equals(result.tables["targets"].schema)


def test_the_folder_holds_what_is_promised(result, tmp_path):
    result.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    log = (tmp_path / "out" / "calibration_log.csv").read_text(encoding="utf-8")
    assert log.split("\n")[0] == LOG_HEADER
    weights = pa.parquet.read_table(tmp_path / "out" / "weights.parquet")
    assert weights.column_names == ["key", "weight", "design_weight", "row"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result.metrics
    assert pd.read_csv(tmp_path / "out" / "targets.csv").shape == (8, 14)


@pytest.mark.parametrize(
    ("log", "largest", "written"),
    [(None, 10**9, True), (None, 10, False), ("all", 10, True), ("none", 10**9, False)],
)
def test_the_log_is_written_unless_it_is_large(
    result, tmp_path, monkeypatch, log, largest, written
):
    monkeypatch.setattr(storage, "LARGEST_LOG", largest)
    result.save(tmp_path / "out", log=log)
    assert (tmp_path / "out" / "calibration_log.csv").exists() == written
    loaded = CalibrationResult.load(tmp_path / "out")
    assert ("calibration_log" in loaded.tables) == written
    loaded.save(tmp_path / "again")
    assert loaded.summary()


def test_a_wrong_word_for_the_log_is_named(result, tmp_path):
    with pytest.raises(InputError, match="`log` is 'some'; it must be one of 'all', 'none'"):
        result.save(tmp_path / "out", log="some")
    assert list(tmp_path.iterdir()) == []


def test_without_untargeted_there_is_no_file_of_untargeted_statistics(tmp_path):
    result = solve(untargeted=None)
    result.save(tmp_path / "out")
    assert not (tmp_path / "out" / "untargeted.csv").exists()
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.untargeted is None
    assert loaded.metrics["untargeted_capped_error"] is None


def test_an_earlier_result_is_replaced_and_anything_else_is_not(result, tmp_path):
    folder = tmp_path / "out"
    solve(untargeted=None).save(folder)
    result.save(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("dear")
    with pytest.raises(InputError, match="it contains other files"):
        result.save(other)
    assert [path.name for path in other.iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize("step", ["parquet", "csv", "json", "report"])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_write_that_fails_leaves_nothing_half_written(
    result, tmp_path, monkeypatch, step, earlier
):
    folder = tmp_path / "out"
    if earlier:
        result.save(folder)
    before = sorted(tmp_path.rglob("*"))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {
        "parquet": (storage.pa.parquet, "write_table"),
        "csv": (storage.pa.csv, "write_csv"),
        "json": (storage.json, "dumps"),
        "report": (Path, "write_text"),
    }[step]
    whole, dumps = Path.write_text, json.dumps

    def full_at_the_report(path, *args, **options):
        return full() if path.name == "report.html" else whole(path, *args, **options)

    def full_at_the_files(*args, **options):  # the report has JSON too, before any file
        return full() if "indent" in options else dumps(*args, **options)

    stops = {"report": full_at_the_report, "json": full_at_the_files}
    monkeypatch.setattr(*target, stops.get(step, full))
    with pytest.raises(OSError, match="no room on disk to write"):
        result.save(folder)
    assert sorted(tmp_path.rglob("*")) == before
    if earlier:
        assert CalibrationResult.load(folder).metrics == result.metrics


def test_what_is_no_saved_result_is_named(tmp_path):
    with pytest.raises(InputError, match="has no saved result"):
        CalibrationResult.load(tmp_path)
    with pytest.raises(InputError, match="has no saved result"):
        CalibrationResult.load(tmp_path / "nowhere")


def test_a_folder_holds_the_columns_and_entries_that_loading_asks_for(result, tmp_path):
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    for name in set(storage.CSV_TABLES) - {"entities"}:  # a matrix has none
        names, needed = loaded.tables[name].column_names, storage.LAYOUT[f"{name}.csv"]
        assert tuple(names) == (*needed, *(["suspect_factor"] if name == "targets" else []))
    assert tuple(loaded.metrics) == storage.LAYOUT["metrics.json"]
    assert {*storage.LAYOUT["run.json"]} <= {*loaded.run}


def test_missing_files_are_named(result, tmp_path):
    result.save(tmp_path / "out")
    for name in ("weights.parquet", "untargeted.csv"):
        (tmp_path / "out" / name).unlink()
    with pytest.raises(InputError, match=r"lacks 'weights.parquet', 'untargeted.csv'; restore"):
        CalibrationResult.load(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"lacks 'weights.parquet', 'metrics.json'; restore"):
        CalibrationResult.load(tmp_path / "out")


DAMAGE = {
    "cut short": lambda content: content[: content.rfind(b",")],
    "emptied": lambda content: b"",
    "bytes that are no text": lambda content: b"\xff\xfe" + content,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [name for name in storage.LAYOUT if name != "entities.csv"])
def test_a_damaged_file_is_named_in_one_line(result, tmp_path, name, damage):
    result.save(tmp_path / "out")
    path = tmp_path / "out" / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(InputError, match=rf"{name}' .*calibrate again$") as caught:
        CalibrationResult.load(tmp_path / "out")
    assert "\n" not in str(caught.value)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_that_is_flipped_in_the_weights_is_noticed(result, tmp_path, share, bit):
    result.save(tmp_path / "out")
    path = tmp_path / "out" / "weights.parquet"
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    try:
        loaded = CalibrationResult.load(tmp_path / "out")
    except InputError:
        return
    # The bit was in a part that has no data, such as a statistic of a page.
    assert loaded.tables["weights"].equals(result.tables["weights"])


def test_a_damaged_name_of_a_column_is_noticed(result, tmp_path):
    result.save(tmp_path / "out")
    path = tmp_path / "out" / "weights.parquet"
    content = path.read_bytes()
    damaged = []
    for place in range(len(content)):
        if content[place : place + 3] == b"key":
            path.write_bytes(content[:place] + b"kex" + content[place + 3 :])
            try:
                loaded = CalibrationResult.load(tmp_path / "out")
            except InputError as error:
                damaged.append(str(error))
            else:
                assert loaded.tables["weights"].equals(result.tables["weights"])
    assert any("'kex'" in message and "restore it" in message for message in damaged)


@pytest.mark.parametrize(
    ("end", "what"), [("seconds\n", "no rows"), (",", "empty cells in 'seconds'")]
)
def test_a_history_that_is_cut_is_noticed(result, tmp_path, end, what):
    result.save(tmp_path / "out")
    history = tmp_path / "out" / "history.csv"
    text = history.read_text()
    place = text.index(end) if end != "," else text.rindex(end)
    history.write_text(text[: place + len(end)])
    with pytest.raises(InputError, match=rf"history.csv' has {what}.*; restore it or calibrate"):
        CalibrationResult.load(tmp_path / "out")


@pytest.mark.parametrize(("name", "rows"), [("targets.csv", 8), ("weights.parquet", 30)])
def test_rows_that_are_gone_are_noticed(result, tmp_path, name, rows):
    result.save(tmp_path / "out")
    metrics = {**result.metrics, "n_targets": 9, "n_records": 31}
    other = {"targets.csv": "n_records", "weights.parquet": "n_targets"}[name]
    metrics[other] = result.metrics[other]
    (tmp_path / "out" / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=rf"{name}' has {rows} rows, where metrics.json says "):
        CalibrationResult.load(tmp_path / "out")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"key arguments"'])
def test_json_that_is_no_object_is_named(result, tmp_path, content):
    result.save(tmp_path / "out")
    (tmp_path / "out" / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run.json' \(it is not a JSON object\); restore"):
        CalibrationResult.load(tmp_path / "out")


def test_another_layout_is_named_with_what_it_lacks(result, tmp_path):
    result.save(tmp_path / "out")
    run = {"arguments": {}, "versions": {}}
    (tmp_path / "out" / "run.json").write_text(json.dumps(run))
    with pytest.raises(
        InputError,
        match=r"run.json' has no 'key', 'weight', 'call', .*, 'threads' and 1 more: another",
    ):
        CalibrationResult.load(tmp_path / "out")
    result.save(tmp_path / "out")
    table = result.tables["targets"].drop_columns(["design_relative_error"])
    pa.csv.write_csv(table, tmp_path / "out" / "targets.csv")
    with pytest.raises(InputError, match=r"targets.csv' has no 'design_relative_error': another"):
        CalibrationResult.load(tmp_path / "out")


# Replicate weights


@pytest.fixture
def replicated(result):
    return with_replicates(result)


def test_saved_replicates_come_back(replicated, tmp_path):
    replicated.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out")
    assert loaded.tables["replicates"].equals(replicated.tables["replicates"])
    assert loaded.run == replicated.run
    loaded.save(tmp_path / "again")
    for name in ("replicates.parquet", "replicates.csv", "how_to_read_replicates.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_result_without_replicates_replaces_one_that_has_some(replicated, result, tmp_path):
    replicated.save(tmp_path / "out")
    result.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_damaged_replicates_are_named(replicated, tmp_path):
    folder = tmp_path / "out"
    replicated.save(folder)
    path = folder / "replicates.parquet"
    table = pa.parquet.read_table(path)

    def refused(text):
        with pytest.raises(InputError, match=text):
            CalibrationResult.load(folder)

    pa.parquet.write_table(table.drop_columns(["rw7"]), path)
    refused("has no 'rw7'")
    pa.parquet.write_table(table.slice(1), path)
    refused("has other records or weights than 'weights.parquet'; restore both or cal")
    spoiled = table.set_column(1, "weight", pa.array(np.ones(30)))
    pa.parquet.write_table(spoiled, path)
    refused("has other records or weights")
    path.write_text("no parquet")
    refused("cannot read .*replicates.parquet")
    path.unlink()
    refused("lacks 'replicates.parquet'; restore it or calibrate again")
    run = json.loads((folder / "run.json").read_text())
    pa.parquet.write_table(table, path)
    (folder / "run.json").write_text(json.dumps({**run, "replicates": {"method": "x"}}))
    refused("run.json' has no method, rscales and gap of the replicate weights")
