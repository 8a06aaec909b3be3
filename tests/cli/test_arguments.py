"""Arguments, and what is said of wrong ones."""

import re

import pytest

from l0.calibration import SELECTORS
from l0.calibration.problem.losses import LOSSES
from tests.cli.running import l0_, refused


@pytest.mark.parametrize("budgets", ["40,many", ""])
def test_bad_budgets_are_refused_in_one_line(files, budgets):
    line = refused("frontier", *files, "--n-records", budgets)
    assert f"'--n-records': '{budgets}' is not a list of whole numbers" in line


def test_arguments_left_out_are_named(files):
    assert "'TARGETS'" in refused("calibrate", files[0])
    assert "'--n-records'" in refused("frontier", *files[:2])
    assert "has no saved result (no run.json)" in refused("report", "nowhere")


def test_help_names_every_method_and_loss():
    said = l0_("calibrate", "--help").stdout
    for name in (*SELECTORS, *LOSSES):
        assert name in said


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "there is no file '.*missing.csv'"),
        ("empty.csv", "the file '.*empty.csv' is empty"),
        ("notes.txt", "'.*notes.txt' is none of .parquet, .pq, .csv, .csv.gz"),
        ("broken.parquet", "cannot read '.*broken.parquet'"),
        (".", "is a folder that has other files"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(files, source, place, name, message):
    files[place] = str(source / name)
    line = refused("calibrate", *files)
    assert re.match(f"l0: `{('records', 'targets')[place]}`: .*{message}", line)
