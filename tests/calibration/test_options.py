import inspect

import pytest
import typer

import l0
from l0.calibration import CalibrationProblem
from l0.calibration.options import (
    NOT_OF_A_CROSS_VALIDATION,
    NOT_OF_A_FRONTIER,
    Options,
    SurveyOptions,
    TableOptions,
    known,
    read_limits,
    read_member,
    read_represent,
    split,
    takes,
    with_defaults,
)
from l0.cli import app
from l0.common.errors import InputError
from tests.calibration import problems

WAYS = [
    (l0.calibrate, SurveyOptions, ()),
    (l0.frontier, SurveyOptions, NOT_OF_A_FRONTIER),
    (CalibrationProblem.from_frames, TableOptions, ()),
    (CalibrationProblem.solve, Options, ()),
    (CalibrationProblem.frontier, Options, NOT_OF_A_FRONTIER),
    (CalibrationProblem.cross_validate, Options, NOT_OF_A_CROSS_VALIDATION),
]


@pytest.mark.parametrize(
    ("function", "options", "but"), WAYS, ids=[way[0].__qualname__ for way in WAYS]
)
def test_every_way_to_start_has_every_option_that_it_takes(function, options, but):
    parameters = inspect.signature(function).parameters
    assert "options" not in parameters
    for name, option in known(options).items():
        assert (name in parameters) == (name not in but)
        if name in but:
            continue
        assert parameters[name].default == option.default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"\n{name} : {option.type}" in inspect.getdoc(function)
    assert "**options" not in function.__doc__


@pytest.mark.parametrize("command", ["calibrate", "frontier"])
def test_the_command_line_has_every_option_that_can_be_written(command):
    parameters = {
        parameter.name: parameter
        for parameter in typer.main.get_command(app).commands[command].params
    }
    for name, option in known(SurveyOptions).items():
        assert (name in parameters) == (option.read is not None)
        if name in parameters:
            assert parameters[name].default == option.default


@pytest.mark.parametrize("function", [CalibrationProblem.solve, CalibrationProblem.frontier])
def test_what_is_no_option_is_refused_with_the_closest(function):
    with pytest.raises(TypeError, match="there is no option 'sed'; closest: 'seed'"):
        function(problems.problem(), [10] if function is CalibrationProblem.frontier else 10, sed=3)


def test_what_is_no_option_of_tables_is_refused_too(survey):
    options = {**survey.options(), "wieght": "weight"}
    for function in (l0.calibrate, CalibrationProblem.from_frames):
        with pytest.raises(TypeError, match="there is no option 'wieght'; closest: 'weight'"):
            function(**options)


def test_defaults_fill_up_what_is_not_given():
    assert with_defaults({"seed": 3}, Options) == {
        **{name: option.default for name, option in known(Options).items()},
        "seed": 3,
    }


def test_a_function_keeps_its_own_parameters():
    @takes(Options)
    def function(a, *, b=1, **options):
        """Do it.

        Parameters
        ----------
        a, b : int
        **options
        """
        return options

    assert list(inspect.signature(function).parameters) == ["a", "b", *known(Options)]
    assert function(1, seed=2) == {"seed": 2}


def test_limits_are_a_pair_of_numbers_or_columns_or_nothing():
    assert read_limits("0.5,2") == (0.5, 2)
    assert read_limits(",2") == (None, 2)
    assert read_limits("least, 3 months") == ("least", "3 months")
    assert read_limits("1e-2,inf") == (0.01, float("inf"))
    for text in ("2", "a", "1,2,3", ""):
        with pytest.raises(InputError, match="is not of the form LOW,HIGH"):
            read_limits(text)


def test_columns_to_represent_are_a_list_and_a_pair_has_an_asterisk():
    assert read_represent("yes") is True
    assert read_represent("no") is False
    assert read_represent("state") == ["state"]
    assert read_represent("state, age * band") == ["state", ("age", "band")]
    for text in ("", "state,", "a*b*c", "a*"):
        with pytest.raises(InputError, match=r"is not of the form COLUMN,COLUMN\*COLUMN"):
            read_represent(text)


def test_a_member_is_a_name_and_a_file():
    assert read_member("person=a=b.csv") == ("person", "a=b.csv")
    for text in ("person", "=a.csv", "person="):
        with pytest.raises(InputError, match="is not of the form NAME=FILE"):
            read_member(text)


def test_options_of_tables_part_from_those_of_the_fit():
    assert split({"key": "id", "seed": 3}) == ({"key": "id"}, {"seed": 3})
    assert known(SurveyOptions) == {**known(TableOptions), **known(Options)}
