"""The chosen features as a table."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from l0.linear_model import L0Classifier, L0Cox, L0Regressor
from tests.linear_model.problems import classes, outcomes, planted


def test_a_row_says_what_a_column_does():
    x, y, _ = planted(0, p=8, noise=1.0)
    x = x * np.arange(1, 9) + 5
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(8)])
    weights = np.arange(60) % 3
    model = L0Regressor(4, must_keep=["x6"]).fit(frame, y, weights)
    table = model.summary()
    assert table["feature"].tolist() == [f"x{j}" for j in model.support_]
    np.testing.assert_array_equal(table["coefficient"], model.coef_[model.support_])
    assert table["feature"][table["must_keep"]].tolist() == ["x6"]
    repeated = np.repeat(x, weights, axis=0)[:, model.support_]
    spread = table["coefficient"] * repeated.std(axis=0)
    np.testing.assert_allclose(table["per_standard_deviation"], spread)
    assert list(table) == ["feature", "must_keep", "coefficient", "per_standard_deviation"]


def test_groups_outcomes_and_classes_have_columns_of_their_own():
    x, y, _ = planted(0, p=9, noise=1.0)
    grouped = L0Regressor(2, groups=np.arange(9) // 3, must_keep=[4]).fit(x, y).summary()
    assert grouped["feature"].tolist()[:3] != [] and set(grouped["group"]) < {0, 3, 6}
    assert grouped["feature"][grouped["must_keep"]].tolist() == [3, 4, 5]
    several = L0Regressor(2).fit(x, np.column_stack([y, -y])).summary("polars")
    assert several["outcome"].to_list() == [0, 0, 1, 1]
    np.testing.assert_allclose(several["coefficient"][:2], -several["coefficient"][2:])
    labels = np.array(["u", "v", "w"])[classes(0, p=9, n_classes=3)[1]]
    model = L0Classifier(2).fit(classes(0, p=9, n_classes=3)[0], labels)
    table = model.summary()
    assert table["outcome"].tolist() == ["u", "u", "v", "v", "w", "w"]
    np.testing.assert_array_equal(table["coefficient"], model.coef_[:, model.support_].ravel())
    two = L0Classifier(2).fit(x, y > 0).summary()
    assert "outcome" not in two and len(two) == 2
    assert len(L0Cox(2).fit(*outcomes(0, "survival")[:2]).summary("pyarrow")) == 2


def test_no_columns_and_no_fit():
    x, y, _ = planted(0, p=9)
    assert len(L0Regressor(0).fit(x, y).summary()) == 0
    with pytest.raises(NotFittedError):
        L0Regressor().summary()
