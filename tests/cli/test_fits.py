"""Commands that fit, from end to end."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import l0
from l0.calibration import CalibrationResult
from l0.common.formatting import percent
from tests.cli.running import RESULT_FILES, l0_, names, refused


def test_calibrate_writes_every_file_and_says_where(files):
    ended = l0_("calibrate", *files, "--n-records", 40)
    assert ended.exit_code == 0, ended.output
    assert names("l0-result") == RESULT_FILES
    result = CalibrationResult.load("l0-result")
    assert len(result.indices) == 40
    assert (result.values > 0).all()
    assert result.targets.num_rows == result.metrics["n_targets"]
    assert ended.stdout.splitlines()[-1] == "Written to l0-result/report.html"
    assert re.search(r"Records +400 +40 *\n", ended.stdout)
    for title, name in (
        ("Mean error on targets", "loss"),
        (r"Mean untargeted error\*", "untargeted_capped_error"),
    ):
        row = rf"{title} .* {re.escape(percent(result.metrics[name]))} *\n"
        assert re.search(row, ended.stdout)
    assert re.search(
        rf"sample size +{result.metrics['effective_sample_size']:.0f} *\n", ended.stdout
    )
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert ended.stderr == ""


def test_calibrate_does_what_the_library_does(files, source):
    options = ("--method", "path", "--loss", "relative", "--bounds", ",30",
               "--weight-bounds", "1,weight", "--seed", 3)  # fmt: skip
    ended = l0_("calibrate", *files, "--n-records", 40, *options, "--out", "out", "--json")
    assert ended.exit_code == 0, ended.output
    expected = l0.calibrate(
        source / "households.parquet", source / "targets.csv", n_records=40, key="household",
        weight="weight", members={"person": source / "persons.csv"}, method="path", loss="relative",
        bounds=(None, 30), weight_bounds=(1, "weight"), seed=3, epochs=30,
    )  # fmt: skip
    printed = json.loads(ended.stdout)
    assert {**printed, "seconds": 0} == {**expected.metrics, "seconds": 0}
    assert printed == json.loads(Path("out/metrics.json").read_text())
    saved = CalibrationResult.load("out")
    np.testing.assert_array_equal(saved.indices, expected.indices)
    np.testing.assert_array_equal(saved.values, expected.values)


def test_a_run_goes_on_from_its_checkpoint(files):
    again = ("calibrate", *files, "--n-records", 40, "--checkpoint", "kept", "--resume")
    before = None
    for _ in range(2):
        ended = l0_(*again)
        assert ended.exit_code == 0, ended.output
        weights = Path("l0-result/weights.parquet").read_bytes()
        assert weights == (before or weights)
        before = weights
    ended = l0_(*again, "--seed", 4)
    assert ended.exit_code == 2
    assert "`--checkpoint`: the folder 'kept' is of another run: `--seed` is 4, and" in ended.stderr
    ended = l0_(*again[:-1])
    assert "pass `--resume` to go on with it" in ended.stderr


def test_a_checkpoint_is_apart_from_the_result(files):
    assert "`--checkpoint`: 'a/b' and the folder 'a' of the result must be apart" in refused(
        "calibrate", *files, "--out", "a", "--checkpoint", "a/b"
    )
    assert "`--resume` needs a folder; pass `--checkpoint` too" in refused(
        "calibrate", *files, "--resume"
    )
    assert "`--checkpoint`: a frontier keeps none" in refused(
        "frontier", *files, "--n-records", "20,40", "--checkpoint", "a"
    )
    assert "--checkpoint" in l0_("calibrate", "--help").output
    assert "--checkpoint" not in l0_("frontier", "--help").output


def test_the_same_seed_gives_the_same_bytes_and_replaces_the_earlier_run(files):
    weights = []
    for seed in (1, 1, 2):
        assert l0_("calibrate", *files, "--n-records", 40, "--seed", seed).exit_code == 0
        weights.append(Path("l0-result/weights.parquet").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert names() == {"l0-result"}


@pytest.mark.parametrize("plots", [True, False])
def test_frontier_writes_a_table_and_a_plot_where_it_can(files, monkeypatch, plots):
    if plots:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = l0_("frontier", *files, "--n-records", "40,120")
    assert ended.exit_code == 0, ended.output
    written = {"frontier.csv", "frontier.png"} if plots else {"frontier.csv"}
    assert names("l0-frontier") == written
    table = pa.csv.read_csv("l0-frontier/frontier.csv")
    assert table.column("n_records").to_pylist() == [120, 40]
    assert re.search(r"^ +120 .*\n +40 ", ended.stdout, re.MULTILINE)
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert ended.stdout.splitlines()[-1] == f"Written to l0-frontier/{max(written)}"


def test_notes_of_a_frontier_name_the_options(files):
    stopping = ["--n-records", 40, "--method", "random", "--solver", "gap=1e-12,max_seconds=1e-9"]
    ended = l0_("frontier", *files, *stopping)
    assert "raise `max_seconds` of `--solver`, or ask" in " ".join(ended.stdout.split())
    ended = l0_("frontier", *files, *stopping, "--max-loss", 1, "--json", "--out", "again")
    assert "raise `max_seconds` of `--solver`" in json.loads(ended.stdout)["notes"]["40"][0]


def test_frontier_as_json(files):
    ended = l0_("frontier", *files, "--n-records", "40,120", "--json")
    assert [row["n_records"] for row in json.loads(ended.stdout)["budgets"]] == [120, 40]


def test_the_frontier_takes_a_method_and_a_limit(files):
    options = ("--n-records", "120", "--method", "pps", "--seed", 3)
    ended = l0_("frontier", *files, *options, "--max-untargeted", 0.3, "--max-loss", 0.9, "--json")
    assert ended.exit_code == 0, ended.output
    shown = json.loads(ended.stdout)
    budgets = {row["n_records"]: row for row in shown["budgets"]}
    assert list(budgets) == sorted(budgets, reverse=True) and len(budgets) > 2
    assert budgets[shown["smallest"]]["untargeted_capped_error"] <= 0.3
    table = pa.csv.read_csv("l0-frontier/frontier.csv")
    assert table.column("n_records").to_pylist() == list(budgets)
    assert l0_("calibrate", *files, *options).exit_code == 0
    alone = CalibrationResult.load("l0-result").metrics
    assert {**budgets[120], "seconds": None} == {**alone, "seconds": None}


def test_the_smallest_number_of_records_is_shown_with_its_reason(files):
    ended = l0_("frontier", *files, "--n-records", "60", "--epochs", 8, "--max-loss", 0.2)
    assert ended.exit_code == 0, ended.output
    assert re.search(r"^\d+ records are within `--max-loss 0.2`", ended.stdout, re.MULTILINE)


def test_a_limit_out_of_reach_is_one_line_and_the_frontier_is_written(files):
    options = ("--n-records", "60", "--method", "random", "--max-loss", 1e-9)
    ended = l0_("frontier", *files, *options)
    assert ended.exit_code == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("l0: no budget up to 400 records is within `--max-loss 1e-09`")
    assert pa.csv.read_csv("l0-frontier/frontier.csv").num_rows == 1


def test_a_wrong_limit_is_refused_before_any_work(files):
    line = refused("frontier", *files, "--n-records", "60", "--max-untargeted", 15)
    assert "`--max-untargeted` must be a number above 0 and up to 1, got 15.0" in line
    assert not Path("l0-frontier").exists()


def test_demo_calibrates_the_bundled_survey(monkeypatch, files, source, survey):
    paths = l0.datasets.CPS(source / "h.parquet", source / "p.parquet", source / "targets.csv")
    for frame, path in ((survey.households, paths.tax_units), (survey.persons, paths.persons)):
        frame.rename(columns={"household": "tax_unit_id"}).to_parquet(path)
    monkeypatch.setattr("l0.datasets.cps_paths", lambda: paths)
    monkeypatch.setattr("l0.calibration.solve.EPOCHS", 30)
    ended = l0_("demo", "--n-records", 40)
    assert ended.exit_code == 0, ended.output
    assert names("l0-demo") == RESULT_FILES
    assert ended.stdout.splitlines()[-1] == "Written to l0-demo/report.html"


@pytest.mark.parametrize("command", [["calibrate"], ["frontier", "--n-records", "40"], ["demo"]])
def test_a_folder_with_other_files_is_refused_before_any_work(files, monkeypatch, command):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").touch()
    monkeypatch.setattr("l0.calibration.CalibrationProblem.from_frames", None)
    arguments = [] if command == ["demo"] else files
    ended = l0_(*command, *arguments, "--out", "thesis")
    assert ended.exit_code == 2
    assert ended.stderr.startswith(
        "l0: the folder 'thesis' would be replaced, and it contains other f"
    )
    assert names("thesis") == {"chapter.txt"}


def test_files_of_stata_spss_and_excel_go_in_and_come_out(programs, survey):
    pyreadstat, arguments = programs
    ended = l0_(
        "calibrate", *arguments, "--out", "result", "--write", "few.dta", "--write",
        "person=few.sav", "--write", "few.xlsx", "--json",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["n_records"] == 40
    result = CalibrationResult.load("result")
    weights = dict(zip(*result.weights.to_pydict().values(), strict=True))
    # Which records are chosen can differ between kinds of processors.
    n_empty = len(set(weights) - set(survey.persons["household"]))
    notes = ended.stderr.splitlines()
    assert notes[0] == f"l0: note: few.sav: {n_empty} of the chosen records had no row in the table"
    assert [line[:20] for line in notes[1:]] == ["l0: note: few.xlsx: "] * 2
    for read, came, went in (
        (pyreadstat.read_dta, "homes.dta", "few.dta"),
        (pyreadstat.read_sav, "persons.sav", "few.sav"),
    ):
        (columns, meta), (kept, described) = (
            read(name, output_format="dict", user_missing=True) for name in (came, went)
        )
        rows = [row for row, key in enumerate(columns["household"]) if key in weights]
        for name in columns.keys() - {"weight"}:
            assert [columns[name][row] for row in rows] == list(kept[name])
        assert list(kept["weight"]) == [weights[key] for key in kept["household"]]
        for name in ("variable_value_labels", "missing_ranges", "file_label"):
            assert getattr(meta, name) == getattr(described, name)
        for name, label in meta.column_names_to_labels.items():
            assert described.column_names_to_labels[name] == label
            if name != "weight":
                types = meta.original_variable_types, described.original_variable_types
                assert types[0][name] == types[1][name]
    table = l0.data.tables.read_table("few.xlsx", "records")[0]
    assert table["household"].to_pylist() == list(weights)


def test_a_csv_file_keeps_its_cells_and_its_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("homes.csv").write_text("id;w;x\n" + "".join(f"0{i};10,0;{i},50\n" for i in range(9)))
    Path("t.csv").write_text("variable,value\ncount,95\n")
    ended = l0_(
        "calibrate", "homes.csv#separator=semicolon,decimal=comma", "t.csv", "--weight", "w",
        "--n-records", 4, "--method", "random", "--write", "few.csv", "--quiet",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    head, *lines = Path("few.csv").read_text().splitlines()
    assert head == "id;w;x"
    assert len(lines) == 4
    assert all(re.fullmatch(r"0(\d);\d+(,\d+)?;\1,50", line) for line in lines)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ("persn=a.csv", "`--members` names no table 'persn'"),
        ("a.sas7bdat", ".sas7bdat files are read only"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_any_work(files, write, message):
    assert message in refused("calibrate", *files, "--write", write)


def test_no_file_that_is_read_is_replaced(files, source):
    quotas = source / "quotas.csv"
    quotas.write_text("state,max_records\n01,12\n")
    for path in (quotas, source / "persons.csv", source / "targets.csv"):
        line = refused("calibrate", *files, "--quotas", quotas, "--write", path)
        assert line == f"l0: `--write`: {str(path)!r} is a file that is read; write to another one"


def test_without_a_key_only_the_records_are_written(files):
    place = files.index("--key")
    line = refused("calibrate", *files[:place], *files[place + 2 :], "--write", "person=a.csv")
    assert "needs the key of its records" in line


def test_rerun_repeats_a_run_and_its_status_says_whether_it_is_the_same(files, source):
    assert l0_("calibrate", *files, "--n-records", 40, "--quiet", "--log", "none").exit_code == 0
    assert names("l0-result") == RESULT_FILES - {"calibration_log.csv"}
    before = {file: file.read_bytes() for file in Path("l0-result").iterdir()}
    for saved in ("l0-result", "l0-result/run.json"):
        for out in ("l0-result", "l0-result/new"):
            ended = l0_("rerun", saved, "--out", out)
            assert ended.exit_code == 2
            assert "would replace the run that is repeated; name another one" in ended.stderr
    assert before == {file: file.read_bytes() for file in Path("l0-result").iterdir()}
    ended = l0_("rerun", "l0-result/run.json", "--out", "again")
    assert (ended.exit_code, ended.stdout) == (0, "All 40 records and weights are the same.\n")
    run = json.loads(Path("l0-result/run.json").read_text())
    run["arguments"]["seed"] = 7
    Path("l0-result/run.json").write_text(json.dumps(run))
    ended = l0_("rerun", "l0-result")
    assert ended.exit_code == 1
    assert ended.stdout.startswith("Of 40 chosen records, ")
    (source / "targets.csv").write_text("changed")
    ended = l0_("rerun", "l0-result")
    assert ended.exit_code == 2
    assert "targets.csv' have changed since the run" in ended.stderr


def test_a_wrong_word_for_the_log_is_refused_before_any_work(files):
    assert "`--log` is 'some'; it must be one of 'all', 'none'" in refused(
        "calibrate", *files, "--log", "some"
    )
