"""The command line, run within the process of a test."""

from pathlib import Path

from typer.testing import CliRunner

from l0.cli import app

RESULT_FILES = {
    "calibration_log.csv", "entities.csv", "history.csv", "metrics.json", "report.html",
    "run.json", "targets.csv", "untargeted.csv", "weights.parquet",
}  # fmt: skip


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
