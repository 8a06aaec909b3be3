import pytest

from l0.calibration.solver_settings import Solver, checked_solver
from l0.common.errors import InputError


def test_the_default_is_a_gap_of_a_thousandth_without_a_limit():
    assert checked_solver(None) == Solver(gap=1e-3, max_seconds=None)
    assert checked_solver(Solver(gap=1e-6)).gap == 1e-6


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"gap": 0.0}, "gap"), ({"gap": "x"}, "gap"), ({"max_seconds": -1.0}, "max_seconds")],
)
def test_wrong_settings_are_named(settings, name):
    with pytest.raises(InputError, match=f"`{name}`"):
        Solver(**settings)


def test_something_else_is_no_solver():
    with pytest.raises(InputError, match="`solver` is 0.001; pass a Solver"):
        checked_solver(0.001)
