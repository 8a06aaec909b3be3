import numpy as np
import pytest
from hypothesis import given, settings

from tests.linear_model.certificate.cases import DRAWS, explained, remainder

DRAW = (3, 8, 30, 0.05, 0.7)


@pytest.mark.parametrize("inside", [[], [2], [5, 0, 3]])
def test_singles_and_pairs_explain_what_a_regression_on_all_of_them_does(inside):
    left = remainder(DRAW, len(inside) + 2, inside)
    assert left.explained == pytest.approx(explained(DRAW, inside))
    for a, first in enumerate(left.free):
        assert left.singles()[a] == pytest.approx(explained(DRAW, [*inside, first]))
        for b, second in enumerate(left.free):
            both = {*inside, first, second}
            assert left.pairs()[a, b] == pytest.approx(explained(DRAW, both))


def test_everything_is_what_all_columns_explain():
    assert remainder(DRAW, 4, [1, 6]).everything() == pytest.approx(explained(DRAW, range(8)))


def test_a_restricted_remainder_has_some_of_the_free_columns():
    left, few = remainder(DRAW, 4, [1]), np.array([0, 4, 5])
    part = left.restricted(few)
    assert part.free.tolist() == left.free[few].tolist()
    np.testing.assert_allclose(part.pairs(), left.pairs()[np.ix_(few, few)])


@settings(max_examples=30, deadline=None)
@given(DRAWS)
def test_a_pair_explains_no_less_than_its_columns(draw):
    left = remainder(draw, 2)
    assert (left.pairs() >= left.singles()).all()
