import pytest
import typer

from l0.cli import app
from l0.cli.wording import arguments_of, as_options, options_of
from tests.cli.running import refused

NAMES = ("n_records", "check_scale", "key", "zero_weights", "members", "bounds")
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in NAMES}


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("`n_records` is 0", "`--n-records` is 0"),
        ("`key='id'`, `check_scale=False`", "`--key id`, `--no-check-scale`"),
        ("`check_scale=True`", "`--check-scale`"),
        ("`bounds=(None, 4)`", "`--bounds ,4`"),
        ("pass `members=`, such as {'person': persons}", "pass `--members`, such as person=FILE"),
        ("`members['job']` has no 'id'", "`--members job` has no 'id'"),
        ("pass `zero_weights='drop'` (on the command line --zero-weights drop), or", 
         "pass `--zero-weights drop`, or"),
        ("`targets` column 'key' and key, `value`", "`targets` column 'key' and key, `value`"),
    ],
)  # fmt: skip
def test_arguments_are_options(message, written):
    assert as_options(message, OPTIONS) == written


def test_options_are_those_of_the_command_and_of_others():
    commands = typer.main.get_command(app).commands
    found = options_of(commands["targets"], commands["calibrate"])
    assert found["variables"] == "--variable"
    assert found["n_records"] == "--n-records"
    assert "records" not in found


def test_arguments_are_called_what_the_help_calls_them_and_tables_keep_their_names():
    commands = typer.main.get_command(app).commands
    assert arguments_of(commands["compare"]) == {"a": "A", "b": "B"}
    assert arguments_of(commands["select"])["out"] == "OUT"
    assert arguments_of(commands["calibrate"]) == {}


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("calibrate", ["--n-records", 999], "`--n-records` must be an integer from 1 to"),
        ("check", ["--must-keep", "nobody"], "no column 'nobody' to use as `--must-keep`"),
        ("calibrate", ["--members", "job=no.csv"], "`--members job`: there is no file 'no.csv'"),
    ],
)
def test_errors_name_the_options(files, command, more, message):
    given = files if command == "calibrate" else files[:-2]
    assert message in refused(command, *given, *more)


def test_an_unknown_variable_of_a_template_is_named(files):
    line = refused("targets", files[0], "--variable", "incom", "--out", "t.csv")
    assert line.startswith("l0: `--variable` names the column 'incom', which `records` does not ")
    assert "closest: 'income'" in line
