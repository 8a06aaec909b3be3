"""What commands print."""

import re

import numpy as np

from l0.calibration import CalibrationProblem, CalibrationResult
from l0.cli.output import summary_of
from tests.cli.running import l0_, refused


def test_quiet_says_nothing(files):
    ended = l0_("calibrate", *files, "--quiet")
    assert (ended.exit_code, ended.output) == (0, "")
    assert CalibrationResult.load("l0-result").metrics["n_records"] == 400


def test_quiet_still_says_what_is_wrong(files):
    assert "`--method` is 'magic'" in refused("calibrate", *files, "--method", "magic", "--quiet")


def test_the_table_shows_the_certificate_and_the_dearest_targets(files):
    said = l0_("calibrate", *files, "--n-records", 40).stdout
    assert re.search(r"(certified within|met exactly)", said)
    assert "Dearest targets" in said and "Shadow price" in said
    stopped = l0_("calibrate", *files, "--solver", "gap=1e-12,max_seconds=1e-9").stdout
    assert "The fit was stopped. It is certainly within" in stopped
    assert "raise `max_seconds` of `--solver`, or ask" in " ".join(stopped.split())


def test_notes_name_the_options_of_the_command_line():
    A = np.vstack([np.ones(50), np.arange(50.0)])
    problem = CalibrationProblem.from_matrix(A, [5000, 25_000], np.full(50, 100.0))
    result = problem.solve(distance="linear")
    assert "`distance='linear'` allows; pass `bounds=(0, None)`" in result.run["notes"][0]
    text = " ".join(summary_of(result).split())
    assert "which `--distance linear` allows; pass `--bounds 0,`, for example" in text


def test_nearly_all_is_not_all_and_what_is_not_known_says_so(tmp_path, monkeypatch):
    problem = CalibrationProblem.from_matrix(np.eye(3), np.ones(3), np.ones(3))
    result = problem.solve(epochs=1)
    result.metrics["within_1pct"] = 31_999 / 32_000
    result.save(tmp_path / "out")
    said = l0_("report", tmp_path / "out").stdout
    assert re.search(r"Targets within 1% +100% +>99.9% *\n", said)
    assert re.search(r"Mean untargeted error\* +not known *\n", said)
    assert re.search(r"Effective sample size +3 *\n", said)
