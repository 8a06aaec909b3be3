"""Commands on saved results."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import l0
from l0.calibration import CalibrationProblem, CalibrationResult
from tests.calibration.variance.samples import with_replicates
from tests.cli.running import RESULT_FILES, l0_, names


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


def test_report_of_a_damaged_folder_is_refused_in_one_line(tmp_path):
    problem = CalibrationProblem.from_matrix(np.eye(3), np.ones(3), np.ones(3))
    problem.solve(epochs=1).save(tmp_path / "out")
    (tmp_path / "out" / "metrics.json").write_text("{")
    ended = l0_("report", tmp_path / "out")
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert re.match(r"l0: cannot read '.*metrics.json' \(.*\); restore it or calibrate", line)


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
        (["--statistic", "men"], "`--statistic` is 'men'; it must be total, mean,"),
        (["--by", "state", "--compared-with", "VT"], "'VT' is not of the form COLUMN=LABEL; write"),
        (["--by", "state", "--compared-with", "state=VT,state=CA"], "has 'state' more than once"),
        (["--out", "table.xpt"], "cannot write 'table.xpt': .xpt files are read only"),
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
    assert "calibrate with `--replicates 80`" in ended.stderr


def test_select_writes_rows_of_any_table_with_the_key(programs, survey):
    _, arguments = programs
    assert l0_("calibrate", *arguments, "--out", "result", "--quiet").exit_code == 0
    ended = l0_("select", "result", "persons.sav", "few.csv", "--weight", "new")
    assert ended.stdout == "Written to few.csv\n"
    chosen = set(CalibrationResult.load("result").weights["household"].to_pylist())
    # Which records are chosen can differ between kinds of processors.
    n_empty = len(chosen - set(survey.persons["household"]))
    assert ended.stderr == (
        "l0: note: few.csv: missing codes of 'hours' are empty cells\n"
        "l0: note: few.csv: 'hours' have codes, without their value labels\n"
        f"l0: note: few.csv: {n_empty} of the chosen records had no row in the table\n"
    )
    rows = pyarrow.csv.read_csv("few.csv")
    assert 0 < len(set(rows["household"].to_pylist())) <= len(chosen)  # some have no persons
    assert set(rows["household"].to_pylist()) <= chosen
    before = names()
    for out, why in (("a.xpt", "`OUT`: .*read only"), ("persons.sav", "is a file that is read"),
                     ("result/a.csv", "is inside of the folder 'result'")):  # fmt: skip
        ended = l0_("select", "result", "persons.sav", out)
        assert ended.exit_code == 2
        assert re.match(f"l0: .*{why}", ended.stderr)
    assert names() == before


def test_compare_names_the_results_as_its_help_does(tmp_path):
    for folder, names_of, n in (
        ("one", ["x", "y"], 4),
        ("other", ["z", "u"], 4),
        ("more", None, 5),
    ):
        problem = CalibrationProblem.from_matrix(
            np.ones((2, n)), [4, 4], np.ones(n), names=names_of or ["x", "y"]
        )
        problem.solve(epochs=1).save(tmp_path / folder)
    for other, said in (("other", "have no target in common: all targets have other names"),
                        ("more", "know their records by row number")):  # fmt: skip
        ended = l0_("compare", tmp_path / "one", tmp_path / other, "--out", tmp_path / "page.html")
        assert ended.exit_code == 2 and ended.stderr.startswith(f"l0: `A` and `B` {said}")
    assert "calibrate both with a `--key`" in ended.stderr


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
    before = Path("other/run.json").read_bytes()
    wrong = l0_("compare", "one", "other", "--out", "other/run.json")
    assert wrong.exit_code == 2 and "`--out`: 'other/run.json' is inside of" in wrong.stderr
    assert Path("other/run.json").read_bytes() == before
