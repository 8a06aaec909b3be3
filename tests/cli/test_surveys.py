"""Commands on a survey before a fit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

import l0
from l0.calibration import CalibrationProblem
from tests.cli.running import l0_, refused


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


def test_check_names_the_options_of_the_command_line(files):
    given = survey_arguments(files)
    targets = pa.csv.read_csv(given[1])
    thousands = pa.compute.multiply(targets.column("value"), 1000.0)
    place = targets.column_names.index("value")
    pa.csv.write_csv(targets.set_column(place, "value", thousands), "thousands.csv")
    Path("quotas.csv").write_text("state,max_records\n01,0\n")
    ended = l0_("check", given[0], "thousands.csv", *given[2:], "--quotas", "quotas.csv")
    text = " ".join(ended.stdout.split())
    assert "`--weight` and `targets` are not on one scale" in text
    assert "pass `--no-check-scale`." in text
    assert "because `--n-records` is not given. What to do: give `--n-records`, or raise" in text
    ended = l0_("check", given[0], "thousands.csv", *given[2:], "--json")
    (found,) = (each for each in json.loads(ended.stdout)["findings"] if each["about"] == "scale")
    assert found["remedy"].endswith("pass `--no-check-scale`")


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


def test_a_margin_may_end_in_a_comma(files):
    given = survey_arguments(files)
    for name, margin in (("a.csv", "state"), ("b.csv", " state,")):
        l0_("targets", given[0], *given[2:], "--by", margin, "--out", name)
    assert Path("a.csv").read_text() == Path("b.csv").read_text()


def test_wrong_margins_are_refused_in_one_line(files):
    given = survey_arguments(files)
    assert "the column 'stat'" in refused("targets", given[0], "--by", "stat")
    assert "--by ',' names no column; write --by" in refused("targets", given[0], "--by", ",")
    assert "cannot write 't.xml': its suffix is unknown; name one of" in refused(
        "targets", given[0], "--out", "t.xml"
    )


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


def test_files_of_other_programs_are_checked_and_templates_are_workbooks(programs):
    _, arguments = programs
    given = survey_arguments(arguments)
    from_files = json.loads(l0_("check", *given, "--json", "--max-seconds", 60).stdout)
    assert from_files["n_records"] == 400
    assert from_files["n_targets"] == sum(row["n_targets"] for row in from_files["groups"])
    ended = l0_("targets", given[0], *given[2:], "--by", "band", "--out", "t.xlsx")
    assert ended.exit_code == 0, ended.output
    found = json.loads(l0_("check", given[0], "t.xlsx", *given[2:], "--json").stdout)
    assert found["ok"], found["findings"]
