import csv
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.tracker import PenaltyTracker


def tracked(**histories):
    tracker = PenaltyTracker()
    for name, values in histories.items():
        for value in values:
            tracker.log(name, value)
    return tracker


def cells(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# Logging


def test_values_come_back_in_order():
    tracker = tracked(loss=[3, 2.5, 1], penalty=[7.0])
    assert tracker.get_history("loss") == [3.0, 2.5, 1.0]
    assert tracker.history == {"loss": [3.0, 2.5, 1.0], "penalty": [7.0]}


@pytest.mark.parametrize(
    "value",
    [
        2,
        np.float32(2),
        torch.tensor(2),
        torch.tensor([[2.0]], requires_grad=True),
        torch.tensor(2.0, dtype=torch.bfloat16),
    ],
)
def test_one_number_of_any_kind_becomes_a_float(value):
    tracker = tracked(x=[value])
    assert tracker.get_history("x") == [2.0]
    assert type(tracker.history["x"][0]) is float


@pytest.mark.parametrize("value", [torch.ones(2), [1.0, 2.0], None, "much", torch.empty(0)])
def test_anything_else_is_refused(value):
    tracker = PenaltyTracker()
    with pytest.raises(ValueError, match="`value` of 'x' must be one number"):
        tracker.log("x", value)
    assert not tracker.history


def test_an_unknown_name_has_an_empty_history():
    tracker = tracked(x=[1])
    assert tracker.get_history("y") == []
    assert tracker.get_stats("y") == {}
    assert list(tracker.history) == ["x"]


def test_histories_are_safe_from_their_readers():
    tracker = tracked(x=[1])
    tracker.get_history("x").append(5.0)
    assert tracker.get_history("x") == [1.0]


def test_clear_forgets_everything():
    tracker = tracked(x=[1], y=[2])
    tracker.clear()
    assert tracker.history == {}
    tracker.log("x", 3)
    assert tracker.get_history("x") == [3.0]


# Statistics


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
@settings(deadline=None)
def test_statistics(values):
    stats = tracked(x=values).get_stats("x")
    assert list(stats) == ["mean", "std", "min", "max", "last"]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    assert stats["mean"] == pytest.approx(mean, abs=1e-6)
    assert stats["std"] == pytest.approx(math.sqrt(variance), abs=1e-6)
    assert (stats["min"], stats["max"], stats["last"]) == (min(values), max(values), values[-1])
    assert all(type(value) is float for value in stats.values())


def test_numbers_that_went_wrong_are_kept_and_seen():
    tracker = tracked(nan=[1, math.nan, 2], inf=[1, math.inf])
    assert math.isnan(tracker.get_stats("nan")["mean"])
    assert tracker.get_stats("nan")["last"] == 2
    assert tracker.get_stats("inf")["max"] == math.inf
    assert math.isnan(tracker.get_stats("inf")["std"])


# Files


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1),
        st.lists(st.floats(), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_a_csv_file_gives_every_value_back(tmp_path_factory, histories):
    path = tmp_path_factory.mktemp("csv") / "history.csv"
    tracked(**histories).save_to_csv(path)
    header, *rows = cells(path)
    assert header == list(histories)
    assert len(rows) == max(map(len, histories.values()))
    for column, values in zip(zip(*rows, strict=True), histories.values(), strict=True):
        back = [float(cell) for cell in column[: len(values)]]
        np.testing.assert_array_equal(back, values)
        assert set(column[len(values) :]) <= {""}


def test_a_csv_file_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("old")
    tracked(a=[1, 2], b=[math.nan]).save_to_csv(str(path))
    assert path.read_text() == "a,b\n1.0,nan\n2.0,\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_csv_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        tracked(**{"\ud800": [1]}).save_to_csv(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# Plots


@pytest.fixture
def pyplot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf()))
    yield shown
    pyplot.close("all")


@pytest.mark.parametrize(
    ("metrics", "titles"), [(None, ["a", "b"]), (["b"], ["b"]), ([], ["a", "b"])]
)
def test_a_plot_without_a_path_is_shown(pyplot, metrics, titles):
    tracked(a=[1, 2], b=[3, math.nan, 5]).plot_history(metrics)
    (figure,) = pyplot
    assert [axes.get_title() for axes in figure.axes] == titles
    assert figure.axes[-1].lines[0].get_ydata().tolist() == pytest.approx(
        [3, math.nan, 5], nan_ok=True
    )


def test_a_plot_with_a_path_is_written_and_not_shown(pyplot, tmp_path):
    path = tmp_path / "history.png"
    tracked(a=[1, 2], b=[3]).plot_history(save_path=str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]
    assert not pyplot


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="never logged: 'los', 'x'; closest: 'loss'"):
        tracked(loss=[1]).plot_history(["los", "loss", "x"])
    with pytest.raises(ValueError, match="call `log` first"):
        PenaltyTracker().plot_history()


def test_a_missing_matplotlib_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install"):
        tracked(a=[1]).plot_history(save_path=tmp_path / "a.png")
