import sys

import pytest

from l0.common.plots import matplotlib, save_figure


def test_a_missing_matplotlib_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        matplotlib("figure")


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_name_says_the_format_and_nothing_else_is_left(tmp_path, suffix, start):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"figure.{suffix}"
    save_figure(matplotlib("figure").Figure(), path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_a_format_that_is_not_known_leaves_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="doc"):
        save_figure(matplotlib("figure").Figure(), tmp_path / "figure.doc")
    assert not list(tmp_path.iterdir())
