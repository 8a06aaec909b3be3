"""The command line from end to end: what it writes, what it says, and how it ends."""

import html
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import l0
from l0.calibration import SELECTORS, CalibrationProblem, CalibrationResult
from l0.calibration.problem.losses import LOSSES
from l0.cli import app
from l0.common.formatting import percent
from tests.calibration.variance.samples import with_replicates

RESULT_FILES = {
    "calibration_log.csv", "history.csv", "metrics.json", "report.html", "run.json",
    "targets.csv", "untargeted.csv", "weights.parquet",
}  # fmt: skip


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


def names(folder="."):
    return {path.name for path in Path(folder).iterdir()}


def l0_(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments):
    """Run something that must end with exit code 2, one line on stderr and nothing else."""
    ended = l0_(*arguments)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("l0: ")
    assert not names()
    return line


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


def test_compare_prints_what_was_won_and_lost_and_writes_a_page(files):
    for name, method in (("one", "random"), ("other", "pps")):
        ended = l0_(
            "calibrate", *files, "--n-records", 60, "--method", method, "--out", name, "--quiet"
        )
        assert ended.exit_code == 0, ended.output
    ended = l0_("compare", "one", "other")
    assert ended.exit_code == 0, ended.output
    assert "common targets, B is nearer to" in " ".join(ended.stdout.split())
    assert ended.stdout.splitlines()[-1] == "Written to l0-comparison.html"
    assert Path("l0-comparison.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    as_json = l0_("compare", "one", "other", "--json", "--out", "again.html")
    found = json.loads(as_json.stdout)
    assert found["a"] == json.loads(Path("one/metrics.json").read_text())
    assert found["n_targets"] == found["a"]["n_targets"]
    assert Path("again.html").is_file()
    wrong = l0_("compare", "one", "nowhere")
    assert wrong.exit_code == 2 and "has no saved result" in wrong.stderr


def test_holdout_may_be_repeated(files):
    options = ("--holdout", "wealth*", "--holdout", "group:person earnings by age", "--quiet")
    ended = l0_("calibrate", *files, "--n-records", 80, *options)
    assert ended.exit_code == 0, ended.output
    saved = CalibrationResult.load("l0-result")
    assert saved.metrics["n_holdout"] == 5
    assert saved.run["arguments"]["holdout"] == ["wealth*", "group:person earnings by age"]


def test_records_that_must_be_kept_and_quotas(files, source, survey):
    households = survey.households.assign(kept=survey.households["income"] > 60_000)
    households.to_parquet(source / "households.parquet")
    Path("quotas.csv").write_text("state,band,min_records,max_records\n01,,12,12\n,high,,20\n")
    options = ("--must-keep", "kept", "--quotas", "quotas.csv")
    ended = l0_("calibrate", *files, "--n-records", 80, *options)
    assert ended.exit_code == 0, ended.output
    text = " ".join(ended.stdout.split())
    n_kept = households["kept"].sum()
    assert f"obey the constraints: {n_kept} records of `must_keep` and 2 cells of" in text
    saved = CalibrationResult.load("l0-result")
    small = saved.select(households)
    assert small["kept"].sum() == n_kept and len(small) == 80
    assert (small["state"] == "01").sum() == 12 and (small["band"] == "high").sum() <= 20
    assert saved.run["arguments"]["must_keep"] == "kept"
    assert saved.run["arguments"]["quotas"].keys() == {"path", "sha256"}
    room = {}
    exec(saved.run["call"], room)  # noqa: S102
    np.testing.assert_array_equal(room["result"].values, saved.values)
    ended = l0_("frontier", *files, "--n-records", "80,10", *options)
    assert ended.exit_code == 2 and "`n_records` is 10" in ended.stderr


def test_whole_weights_are_asked_for_and_written_as_whole_numbers(files):
    ended = l0_("calibrate", *files, "--n-records", "40", "--epochs", "8", "--integer-weights")
    assert ended.exit_code == 0, ended.output
    assert "The weights were rounded to whole numbers." in ended.stdout
    weights = pa.parquet.read_table("l0-result/weights.parquet").column("weight")
    assert weights.type == pa.int64()
    assert len(weights) == 40
    saved = CalibrationResult.load("l0-result")
    assert saved.run["arguments"]["integer_weights"] is True
    room = {}
    exec(saved.run["call"], room)  # noqa: S102
    np.testing.assert_array_equal(room["result"].values, saved.values)


def test_the_solver_is_set_and_recorded(files):
    options = ("--solver", "gap=1e-5,max_seconds=60", "--distance", "linear", "--keep-total")
    ended = l0_("calibrate", *files, *options)
    assert ended.exit_code == 0, ended.output
    saved = CalibrationResult.load("l0-result")
    assert saved.run["arguments"]["solver"] == {"gap": 1e-5, "max_seconds": 60.0}
    assert saved.run["arguments"]["distance"] == "linear"
    assert (saved.run["arguments"]["keep_total"], saved.run["arguments"]["exact"]) == (True, False)
    room = {}
    exec(saved.run["call"], room)  # noqa: S102
    np.testing.assert_array_equal(room["result"].values, saved.values)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("fast", "'fast' is not of the form gap=G,max_seconds=S; write gap=1e-6"),
        ("gap=small", "'gap=small' is not of the form"),
        ("speed=2", "'speed=2' is not of the form"),
        ("gap=0", "`gap` must be"),
    ],
)
def test_a_wrong_solver_is_explained(files, given, text):
    assert text in refused("calibrate", *files, "--solver", given)


def test_the_table_shows_the_certificate_and_the_dearest_targets(files):
    said = l0_("calibrate", *files, "--n-records", 40).stdout
    assert re.search(r"(certified within|met exactly)", said)
    assert "Dearest targets" in said and "Shadow price" in said
    stopped = l0_("calibrate", *files, "--solver", "gap=1e-12,max_seconds=1e-9").stdout
    assert "The fit was stopped. It is certainly within" in stopped
    assert "raise `max_seconds` of `Solver`" in " ".join(stopped.split())


def test_the_check_of_the_scale_can_be_switched_off(files, survey):
    households = survey.households.assign(weight=survey.households["weight"] / 1e4)
    households.to_parquet("other.parquet")
    options = ("other.parquet", *files[1:], "--n-records", 40)
    ended = l0_("calibrate", *options)
    assert ended.exit_code == 2
    assert "not on one scale" in ended.stderr and "--no-check-scale" in ended.stderr
    assert l0_("calibrate", *options, "--no-check-scale").exit_code == 0
    saved = CalibrationResult.load("l0-result")
    assert saved.run["arguments"]["check_scale"] is False


def test_the_same_seed_gives_the_same_bytes_and_replaces_the_earlier_run(files):
    weights = []
    for seed in (1, 1, 2):
        assert l0_("calibrate", *files, "--n-records", 40, "--seed", seed).exit_code == 0
        weights.append(Path("l0-result/weights.parquet").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert names() == {"l0-result"}


def test_quiet_says_nothing(files):
    ended = l0_("calibrate", *files, "--quiet")
    assert (ended.exit_code, ended.output) == (0, "")
    assert CalibrationResult.load("l0-result").metrics["n_records"] == 400


def test_quiet_still_says_what_is_wrong(files):
    assert "`method` is 'magic'" in refused("calibrate", *files, "--method", "magic", "--quiet")


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
    assert re.search(r"^\d+ records are within `max_loss=0.2`", ended.stdout, re.MULTILINE)


def test_a_limit_out_of_reach_is_one_line_and_the_frontier_is_written(files):
    options = ("--n-records", "60", "--method", "random", "--max-loss", 1e-9)
    ended = l0_("frontier", *files, *options)
    assert ended.exit_code == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("l0: no budget up to 400 records is within `max_loss=1e-09`")
    assert pa.csv.read_csv("l0-frontier/frontier.csv").num_rows == 1


def test_a_wrong_limit_is_refused_before_any_work(files):
    line = refused("frontier", *files, "--n-records", "60", "--max-untargeted", 15)
    assert "`max_untargeted` must be a number above 0 and up to 1, got 15.0" in line
    assert not Path("l0-frontier").exists()


def test_report_renders_a_saved_result_anew(files):
    assert l0_("calibrate", *files, "--n-records", 40).exit_code == 0
    page = Path("l0-result/report.html")
    first = page.read_text()
    page.unlink()
    ended = l0_("report", "l0-result")
    assert ended.exit_code == 0, ended.output
    assert page.read_text() == first
    assert names("l0-result") == RESULT_FILES
    assert json.loads(l0_("report", "l0-result", "--json").stdout)["n_records"] == 40


def test_the_table_and_the_report_show_the_same_loss_before(files):
    said = l0_("calibrate", *files, "--n-records", 40).stdout
    page = Path("l0-result/report.html").read_text()
    before = re.search(r"; (\S+) under the design weights", page).group(1)
    assert re.search(rf"Mean error on targets +{html.escape(before)} ", html.escape(said))


def test_nearly_all_is_not_all_and_what_is_not_known_says_so(tmp_path, monkeypatch):
    problem = CalibrationProblem.from_matrix(np.eye(3), np.ones(3), np.ones(3))
    result = problem.solve(epochs=1)
    result.metrics["within_1pct"] = 31_999 / 32_000
    result.save(tmp_path / "out")
    said = l0_("report", tmp_path / "out").stdout
    assert re.search(r"Targets within 1% +100% +>99.9% *\n", said)
    assert re.search(r"Mean untargeted error\* +not known *\n", said)
    assert re.search(r"Effective sample size +3 *\n", said)


def test_report_of_a_damaged_folder_is_refused_in_one_line(tmp_path):
    problem = CalibrationProblem.from_matrix(np.eye(3), np.ones(3), np.ones(3))
    problem.solve(epochs=1).save(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").write_text("{")
    ended = l0_("report", tmp_path / "out")
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert re.match(r"l0: cannot read '.*metrics.json' \(.*\); restore it or calibrate", line)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "magic"], "`method` is 'magic'; it must be one of 'hybrid', 'path'"),
        (["--loss", "lost"], "`loss` is 'lost'; it must be one of 'capped', 'relative'"),
        (["--bounds", "5,1"], "`bounds` cross: low 5 is above high 1"),
        (["--bounds", "5"], "'--bounds': '5' is not of the form LOW,HIGH; write 0.1,10"),
        (["--bounds", "low,5"], "`records` has no column 'low' to use as a limit of `bounds`"),
        (["--weight-bounds", "1,2,3"], "'--weight-bounds': '1,2,3' is not of the form LOW,HIGH"),
        (["--must-keep", "ownr"], "no column 'ownr' to use as `must_keep`; closest: 'owner'"),
        (
            ["--holdout", "wealht*"],
            "`holdout` has the pattern 'wealht*', which matches the name of",
        ),
        (["--quotas", "none.csv"], "`quotas`: there is no file 'none.csv'"),
        (["--members", "people.csv"], "'--members': 'people.csv' is not of the form NAME=FILE"),
        (["--members", "person=other.csv"], "`--members` has a name twice"),
        (
            ["--n-records", "0"],
            "`n_records` must be an integer from 1 to the number of records, 400, got 0",
        ),
        (
            ["--n-records", "401"],
            "`n_records` must be an integer from 1 to the number of records, 400, got 401",
        ),
        (["--n-records", "many"], "'--n-records'"),
        (["--key", "hosehold"], "no column 'hosehold' to use as the `key`; closest: 'household'"),
        (["--weight", "weights"], "no column 'weights' to use as the design `weight`"),
        (["--seed", "-1"], "`seed` must be an integer of at least 0, got -1"),
        (["--epochs", "0"], "`epochs` must be an integer of at least 1, got 0"),
        (["--device", "abacus"], "`device` 'abacus' cannot be used here"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(files, options, message):
    assert message in refused("calibrate", *files, *options)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "there is no file '.*missing.csv'"),
        ("empty.csv", "the file '.*empty.csv' is empty"),
        ("notes.txt", "'.*notes.txt' is none of .parquet, .pq, .csv, .csv.gz"),
        ("broken.parquet", "cannot read '.*broken.parquet'"),
        (".", "is a folder; pass a .parquet or .csv file"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(files, source, place, name, message):
    files[place] = str(source / name)
    line = refused("calibrate", *files)
    assert re.match(f"l0: `{('records', 'targets')[place]}`: .*{message}", line)


def test_a_missing_member_file_is_refused_in_one_line(files):
    line = refused("calibrate", *files[:6], "--members", "person=gone.csv")
    assert "there is no file 'gone.csv'" in line


@pytest.mark.parametrize("budgets", ["40,many", ""])
def test_bad_budgets_are_refused_in_one_line(files, budgets):
    line = refused("frontier", *files, "--n-records", budgets)
    assert f"'--n-records': '{budgets}' is not a list of whole numbers" in line


def test_arguments_left_out_are_named(files):
    assert "'TARGETS'" in refused("calibrate", files[0])
    assert "'--n-records'" in refused("frontier", *files[:2])
    assert "has no saved result (no run.json)" in refused("report", "nowhere")


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


def test_no_room_on_disk_leaves_nothing_behind(files, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("l0.calibration.results.result.pa.parquet.write_table", full)
    assert re.search("no room on disk to write '.*l0-result'; make", refused("calibrate", *files))


def test_a_missing_permission_names_the_file(files, monkeypatch):
    def locked(*_, **__):
        raise PermissionError(13, "Permission denied", "locked.csv")

    monkeypatch.setattr("l0.calibration.inputs.survey.read_table", locked)
    assert refused("calibrate", *files) == "l0: Permission denied: 'locked.csv'"


def test_a_fault_of_the_program_keeps_its_traceback(files, monkeypatch):
    monkeypatch.setattr("l0.calibration.solve.get_selector", lambda _: 1 / 0)
    assert isinstance(l0_("calibrate", *files).exception, ZeroDivisionError)


def test_help_names_every_method_and_loss():
    said = l0_("calibrate", "--help").stdout
    for name in (*SELECTORS, *LOSSES):
        assert name in said


def test_version():
    ended = l0_("--version")
    assert ended.exit_code == 0
    assert re.match(r"l0\W", ended.stdout)


def test_help_of_the_module_is_quick():
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "l0", "--help"], capture_output=True, text=True)
    assert ended.returncode == 0
    for command in ("demo", "calibrate", "frontier", "report", "check", "targets"):
        assert command in ended.stdout
    assert time.perf_counter() - started < 20  # 2 s where nothing else runs


def test_ctrl_c_leaves_nothing_behind(files):
    pty = pytest.importorskip("pty", reason="needs a terminal of the POSIX kind")
    terminal, their_end = pty.openpty()
    command = [sys.executable, "-m", "l0", "calibrate", *files, "--epochs", "20000"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=their_end, env=environment
    ) as fit:
        os.close(their_end)
        seen = b""
        try:
            while b"calibrating all records" not in seen:
                seen += read(terminal, within=60)
            fit.send_signal(signal.SIGINT)
            while chunk := read(terminal, within=30):
                seen += chunk
            assert fit.wait(timeout=30) == 130
            assert fit.stdout.read() == b""
        finally:
            fit.kill()
            os.close(terminal)
    assert seen.endswith(b"l0: interrupted\r\n")
    assert b"Traceback" not in seen
    assert not names()


def read(terminal, within):
    """Read what there is, for at most so many seconds; nothing once the other end is closed."""
    ready, _, _ = select.select([terminal], [], [], within)
    assert ready, "the terminal stays silent"
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_records_of_weight_0_can_be_left_out(files, survey):
    households = survey.households.copy()
    households.loc[:2, "weight"] = 0.0
    households.to_parquet("zeros.parquet")
    ended = l0_("calibrate", "zeros.parquet", *files[1:], "--n-records", 40)
    assert ended.exit_code == 2
    assert "--zero-weights drop" in ended.stderr
    options = ("zeros.parquet", *files[1:], "--zero-weights", "drop")
    ended = l0_("calibrate", *options, "--n-records", 40)
    assert ended.exit_code == 0
    assert "3 records were left out because of a design weight of 0" in " ".join(
        ended.stdout.split()
    )
    saved = CalibrationResult.load("l0-result")
    assert saved.run["n_dropped"] == 3
    assert saved.metrics["n_candidates"] == len(households) - 3
    assert l0_("frontier", *options, "--n-records", "40,20").exit_code == 0


# Estimates of a saved result


@pytest.fixture
def saved(files, survey):
    """A saved result with replicate weights, and the file of the records."""
    of = with_replicates(l0.calibrate(**survey.options(), n_records=120, epochs=8))
    of.save("result")
    return ["result", files[0]]


def test_estimate_shows_a_table(saved, survey):
    ended = l0_("estimate", *saved, "--of", "income", "--by", "state,owner", "--statistic", "mean")
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if re.match(r" *\d\d +(true|false) ", line)]) == 8
    assert lines[-1] == "* Fewer than 30 records: the interval is less reliable."
    assert ended.stderr == ""


def test_estimate_writes_what_the_library_says(saved, survey):
    asked = ["--of", "income", "--by", "state", "--statistic", "quantile", "--q", 0.25, "--level"]
    ended = l0_("estimate", *saved, *asked, 0.9, "--out", "q.parquet", "--json")
    assert ended.exit_code == 0, ended.output
    expected = CalibrationResult.load("result").estimate(
        pa.Table.from_pandas(survey.households), "income", by="state", statistic="quantile",
        q=0.25, level=0.9,
    )  # fmt: skip
    assert json.loads(ended.stdout) == expected.to_pylist()
    assert pa.parquet.read_table("q.parquet").equals(expected)
    ended = l0_(
        "estimate", *saved, "--by", "state", "--compared-with", "state=06", "--out", "d.csv"
    )
    assert ended.stdout.endswith("Written to d.csv\n")
    assert pa.csv.read_csv("d.csv").num_rows == 3
    shares = l0_("estimate", *saved, "--by", "state,band", "--statistic", "share",
                 "--within", "state", "--json")  # fmt: skip
    assert sum(row["estimate"] for row in json.loads(shares.stdout)) == pytest.approx(4)
    ratio = l0_("estimate", *saved, "--of", "income", "--statistic", "ratio", "--denominator",
                "count", "--quiet")  # fmt: skip
    assert (ratio.exit_code, ratio.stdout) == (0, "")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["--of", "incom"], "closest: 'income'"),
        (["--statistic", "men"], "`statistic` is 'men'; it must be total, mean,"),
        (["--by", "state", "--compared-with", "VT"], "'VT' is not of the form COLUMN=LABEL; write"),
        (["--out", "table.xlsx"], "`--out` is 'table.xlsx'; name a .csv or .parquet file"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(saved, asked, text):
    ended = l0_("estimate", *saved, *asked)
    assert ended.exit_code == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert text in line
    assert names() == {"result"}


def test_a_result_without_replicates_has_no_estimates(files):
    l0_("calibrate", *files, "--n-records", 40, "--quiet")
    ended = l0_("estimate", "l0-result", files[0])
    assert ended.exit_code == 2
    assert "calibrate with `replicates=80`" in ended.stderr


def survey_arguments(files):
    """The arguments of a command that fits nothing."""
    return files[: files.index("--epochs")]


def test_check_says_what_is_found_and_ends_with_0_1_or_2(files, source, survey):
    given = survey_arguments(files)
    ended = l0_("check", *given, "--max-seconds", 60)
    found = l0.calibration.check(
        given[0], given[1], key="household", weight="weight", max_seconds=60,
        members={"person": source / "persons.csv"},
    )  # fmt: skip
    assert ended.stdout == f"{found.summary()}\n"
    assert ended.exit_code == (0 if found.ok else 1)
    counts = survey.targets.query("entity == '' and variable == 'count'").dropna(subset="state")
    counts = counts[["variable", "state", "value"]]
    counts.to_csv("counts.csv", index=False)
    ended = l0_("check", given[0], "counts.csv", *given[2:])
    assert ended.exit_code == 0, ended.output
    counts.assign(state=counts["state"].replace("06", "6 ")).to_csv("counts.csv", index=False)
    ended = l0_("check", given[0], "counts.csv", *given[2:], "--quiet")
    assert (ended.exit_code, ended.output) == (1, "")
    Path("counts.csv").unlink()
    assert "no column 'wgt'" in refused("check", *given[:2], "--weight", "wgt")


def test_check_as_json_with_the_options_of_a_fit(files):
    given = survey_arguments(files)
    ended = l0_("check", *given, "--n-records", 20, "--bounds", ",5", "--json")
    assert ended.exit_code == 1
    shown = json.loads(ended.stdout)
    assert (shown["ok"], shown["n_records"]) == (False, 400)
    assert {"findings", "groups", "n_targets"} <= shown.keys()
    (joint,) = [row for row in shown["findings"] if row["about"] == "joint reach"][:1]
    assert joint["what"].startswith("20 records within these bounds reach together at most")
    assert "must be an integer" in refused("check", *given, "--n-records", 401)


def test_targets_writes_a_template_that_the_design_weights_meet(files, source):
    given = survey_arguments(files)
    options = ("--by", "state, age", "--by", "age", "--variable", "earnings", "--variable", "count")
    ended = l0_("targets", given[0], *given[2:], *options, "--entity", "person", "--out", "t.csv")
    assert ended.exit_code == 0, ended.output
    table = pa.csv.read_csv("t.csv")
    assert ended.stdout == f"{table.num_rows} targets to fill in\n\nWritten to t.csv\n"
    assert table.column_names == ["entity", "variable", "state", "age", "value", "source"]
    assert table.num_rows == 2 * (4 * 3 + 3)
    problem = CalibrationProblem.from_frames(
        given[0], "t.csv", key="household", weight="weight",
        members={"person": source / "persons.csv"},
    )  # fmt: skip
    np.testing.assert_allclose(problem.design_estimates, problem.values)
    ended = l0_("targets", given[0], "--out", "t.csv")
    assert ended.exit_code == 2 and "there is a file 't.csv' already" in ended.stderr


def test_wrong_margins_are_refused_in_one_line(files):
    given = survey_arguments(files)
    assert "the column 'stat'" in refused("targets", given[0], "--by", "stat")
    assert "'t.xml' is none of '.csv'" in refused("targets", given[0], "--out", "t.xml")


def test_neither_check_nor_targets_imports_torch(files):
    given = survey_arguments(files)
    code = (
        "import sys; from l0.cli import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "finally:\n    assert 'torch' not in sys.modules, 'torch is there'"
    )
    for command in (["check", *given], ["targets", given[0], *given[2:], "--by", "state"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True
        )
        assert ended.returncode in (0, 1), ended.stderr
        assert "torch is there" not in ended.stderr
