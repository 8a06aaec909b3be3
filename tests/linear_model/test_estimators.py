import numpy as np
import pytest
from sklearn.linear_model import Lasso

from l0.common.errors import InputError
from l0.linear_model import L0Regressor
from l0.linear_model.estimators import asked_again, checked_estimator, chosen_units
from tests.linear_model.problems import planted


def test_another_estimator_is_refused():
    with pytest.raises(InputError, match="`estimator` is a Lasso; pass an L0Regressor"):
        checked_estimator(Lasso())
    assert checked_estimator(L0Regressor())


def test_the_units_of_a_choice_are_read_from_its_columns():
    x, y, _ = planted(0, noise=1.0)
    for groups in (None, np.arange(30) // 3):
        model = L0Regressor(4, must_keep=[20], groups=groups).fit(x, y)
        rows, question = asked_again(model, x, y, None)
        units = chosen_units(model.support_, question)
        members = question.members or [np.array([j]) for j in range(30)]
        assert len(units) == 4 and 20 in members[units[0]]
        assert sorted(np.concatenate([members[u] for u in units])) == model.support_.tolist()
        assert rows.x.shape == x.shape
