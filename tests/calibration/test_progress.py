"""The listener that `progress` asks for, and the live line."""

import io
import sys

import pytest

from l0.calibration import Progress
from l0.calibration.progress import STAGES, progress_bar
from l0.common.errors import InputError


@pytest.mark.parametrize("silent", [None, False])
def test_silence(silent, capsys):
    with progress_bar(silent) as listener:
        assert listener is None
    assert capsys.readouterr() == ("", "")


def test_a_callable_is_used_as_it_is():
    seen = []
    with progress_bar(seen.append) as listener:
        listener("state")
    assert seen == ["state"]


def terminal(monkeypatch):
    """Put a terminal of 80 columns in the place of standard error."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return screen


@pytest.mark.parametrize("stage", [*STAGES, "a stage of a user's selector"])
def test_the_live_line_shows_stage_records_loss_and_time_on_one_line(stage, monkeypatch):
    screen = terminal(monkeypatch)
    with progress_bar(True) as listener:
        listener(Progress(stage, 10, n_records=277_262, loss=0.1234, gap=None, seconds=1.0))
    shown = screen.getvalue()
    for part in (STAGES.get(stage, stage), "277,262 records", "12.34%", "0:00:0"):
        assert part in shown
    assert "…" not in shown


def test_a_file_in_the_place_of_the_terminal_gets_nothing(capsys):
    with progress_bar(True) as listener:
        assert listener is None
    assert capsys.readouterr() == ("", "")


def test_an_error_takes_the_live_line_down_and_goes_on(monkeypatch):
    screen = terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), progress_bar(True):
        raise KeyboardInterrupt
    assert screen.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("given", ["yes", 1, 0])
def test_what_is_neither_a_switch_nor_a_callable_is_named(given):
    with (
        pytest.raises(InputError, match="`progress` is .*; pass True, False or a callable"),
        progress_bar(given),
    ):
        pass
