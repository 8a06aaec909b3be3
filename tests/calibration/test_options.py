import inspect

import pytest
import typer

import l0
from l0.calibration import CalibrationProblem
from l0.calibration.options import OPTIONS, read_limits, takes_options, with_defaults
from l0.cli import app
from l0.common.errors import InputError
from tests.calibration import problems

WAYS = [l0.calibrate, l0.frontier, CalibrationProblem.solve, CalibrationProblem.frontier]


@pytest.mark.parametrize("function", WAYS, ids=lambda function: function.__qualname__)
def test_every_way_to_start_a_fit_has_every_option(function):
    parameters = inspect.signature(function).parameters
    assert "options" not in parameters
    for name, option in OPTIONS.items():
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
    for name, option in OPTIONS.items():
        assert (name in parameters) == (option.read is not None)
        if name in parameters:
            assert parameters[name].default == option.default


@pytest.mark.parametrize("function", [CalibrationProblem.solve, CalibrationProblem.frontier])
def test_what_is_no_option_is_refused_with_the_closest(function):
    with pytest.raises(TypeError, match="'sed' is no option; closest: 'seed'"):
        function(problems.problem(), [10] if function is CalibrationProblem.frontier else 10, sed=3)


def test_defaults_fill_up_what_is_not_given():
    assert with_defaults({"seed": 3}) == {
        **{name: option.default for name, option in OPTIONS.items()},
        "seed": 3,
    }


def test_a_function_keeps_its_own_parameters():
    @takes_options
    def function(a, *, b=1, **options):
        """Do it.

        Parameters
        ----------
        a, b : int
        **options
        """
        return options

    assert list(inspect.signature(function).parameters) == ["a", "b", *OPTIONS]
    assert function(1, seed=2) == {"seed": 2}


def test_limits_are_a_pair_of_numbers_or_nothing():
    assert read_limits("0.5,2") == (0.5, 2)
    assert read_limits(",2") == (None, 2)
    for text in ("2", "a,b", "1,2,3", ""):
        with pytest.raises(InputError, match="is not of the form LOW,HIGH"):
            read_limits(text)
