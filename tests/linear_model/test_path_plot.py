import numpy as np
import pytest

pytest.importorskip("matplotlib")

from l0.linear_model import L0Classifier, L0Regressor
from l0.linear_model.path_plot import NAMED, OTHER, draw_path
from tests.linear_model.problems import planted


def test_a_path_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    x, y, _ = planted(0, noise=1.0)
    figure = L0Regressor().fit(x, y).plot_path(tmp_path / "path.png")
    assert len(figure.axes) == 2
    assert (tmp_path / "path.png").stat().st_size > 1000
    classes = np.digitize(y, [-1, 1])
    assert len(L0Classifier(max_features=3).fit(x, classes).plot_path().axes) == 2


def test_lines_are_the_coefficients_of_the_columns_ever_chosen():
    x, y, _ = planted(0, n=100, noise=1.0)
    model = L0Regressor(max_features=6).fit(x, y)
    above, below = draw_path(model, None).axes
    columns = np.flatnonzero(model.coefs_path_.any(axis=0))
    lines = [line for line in above.lines if len(line.get_xdata()) == len(model.path_)]
    assert len(lines) == len(columns)
    for column, line in zip(columns, lines, strict=True):
        expected = model.coefs_path_[:, column]
        np.testing.assert_array_equal(np.nan_to_num(line.get_ydata()), expected)
        assert np.isnan(line.get_ydata()).tolist() == (expected == 0).tolist()
        assert (line.get_color() == OTHER) == (column not in model.support_)
    np.testing.assert_array_equal(below.lines[0].get_ydata(), model.criterion_path_)
    named = [text.get_text() for text in above.get_legend().get_texts()]
    assert named == [str(column) for column in model.support_]


def test_many_columns_have_no_legend():
    x, y, _ = planted(0, n=100, p=40, noise=1.0)
    above, _ = draw_path(L0Regressor(n_features=NAMED + 1).fit(x, y), None).axes
    assert above.get_legend() is None
