"""The options of a fit on the command line."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from typer.main import get_command

from l0.calibration import CalibrationResult
from l0.cli import app
from tests.cli.running import l0_, refused


def test_records_that_must_be_kept_and_quotas(files, source, survey):
    households = survey.households.assign(kept=survey.households["income"] > 60_000)
    households.to_parquet(source / "households.parquet")
    Path("quotas.csv").write_text("state,band,min_records,max_records\n01,,12,12\n,high,,20\n")
    options = ("--must-keep", "kept", "--quotas", "quotas.csv")
    ended = l0_("calibrate", *files, "--n-records", 80, *options)
    assert ended.exit_code == 0, ended.output
    text = " ".join(ended.stdout.split())
    n_kept = households["kept"].sum()
    assert f"obey the constraints: {n_kept} records of `--must-keep` and 2 cells of" in text
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
    assert ended.exit_code == 2 and "`--n-records` is 10" in ended.stderr


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
        ("gap=1e-3,gap=1e-6", "'gap=1e-3,gap=1e-6' has 'gap' more than once; give it once"),
        ("gap=0", "`gap` must be"),
    ],
)
def test_a_wrong_solver_is_explained(files, given, text):
    assert text in refused("calibrate", *files, "--solver", given)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "magic"], "`--method` is 'magic'; it must be one of 'hybrid', 'path'"),
        (["--loss", "lost"], "`--loss` is 'lost'; it must be one of 'capped', 'relative'"),
        (["--bounds", "5,1"], "`--bounds` cross: low 5 is above high 1"),
        (["--bounds", "5"], "'--bounds': '5' is not of the form LOW,HIGH; write 0.1,10"),
        (["--bounds", "low,5"], "`records` has no column 'low' to use as a limit of `--bounds`"),
        (["--weight-bounds", "1,2,3"], "'--weight-bounds': '1,2,3' is not of the form LOW,HIGH"),
        (["--must-keep", "ownr"], "no column 'ownr' to use as `--must-keep`; closest: 'owner'"),
        (["--quotas", "none.csv"], "`--quotas`: there is no file 'none.csv'"),
        (["--members", "people.csv"], "'--members': 'people.csv' is not of the form NAME=FILE"),
        (["--members", "person=other.csv"], "`--members` has a name twice"),
        (
            ["--n-records", "0"],
            "`--n-records` must be an integer from 1 to the number of records, 400, got 0",
        ),
        (
            ["--n-records", "401"],
            "`--n-records` must be an integer from 1 to the number of records, 400, got 401",
        ),
        (["--n-records", "many"], "'--n-records'"),
        (["--key", "hosehold"], "no column 'hosehold' to use as the `--key`; closest: 'household'"),
        (["--weight", "weights"], "no column 'weights' to use as the design `--weight`"),
        (["--seed", "-1"], "`--seed` must be an integer of at least 0, got -1"),
        (["--epochs", "0"], "`--epochs` must be an integer of at least 1, got 0"),
        (["--device", "abacus"], "`--device` 'abacus' cannot be used here"),
        (
            ["--holdout", "wealht*"],
            "`--holdout` has the pattern 'wealht*', which matches the name of",
        ),
    ],
)
def test_a_bad_option_is_refused_in_one_line(files, options, message):
    assert message in refused("calibrate", *files, *options)


def test_a_missing_member_file_is_refused_in_one_line(files):
    line = refused("calibrate", *files[:6], "--members", "person=gone.csv")
    assert "there is no file 'gone.csv'" in line


def test_holdout_may_be_repeated(files):
    options = ("--holdout", "wealth*", "--holdout", "group:person earnings by age", "--quiet")
    ended = l0_("calibrate", *files, "--n-records", 80, *options)
    assert ended.exit_code == 0, ended.output
    saved = CalibrationResult.load("l0-result")
    assert saved.metrics["n_holdout"] == 5
    assert saved.run["arguments"]["holdout"] == ["wealth*", "group:person earnings by age"]


def test_help_names_the_options_of_the_command_line():
    command = get_command(app).commands["calibrate"]
    texts = {parameter.name: parameter.help for parameter in command.params
             if parameter.param_type_name == "option"}  # fmt: skip
    assert "(see `--zero-weights`)" in texts["weight"]
    assert "given like `--bounds`" in texts["weight_bounds"]
    assert "The table of the result is `replicates`" in texts["replicates"]
