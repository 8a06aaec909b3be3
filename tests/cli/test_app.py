"""How the command line ends: errors, interruptions, and a full disk."""

import os
import re
import select
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from tests.cli.running import l0_, names, refused


def test_no_room_on_disk_leaves_nothing_behind(files, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("l0.calibration.results.result.pa.parquet.write_table", full)
    assert re.search("no room on disk to write '.*l0-result'; make", refused("calibrate", *files))


def test_a_missing_permission_names_the_file(files, monkeypatch):
    def locked(*_, **__):
        raise PermissionError(13, "Permission denied", "locked.csv")

    monkeypatch.setattr("l0.calibration.inputs.survey.read_table", locked)
    assert refused("calibrate", *files) == "l0: Permission denied: 'locked.csv'"


def test_a_fault_of_the_program_keeps_its_traceback(files, monkeypatch):
    monkeypatch.setattr("l0.calibration.solve.get_selector", lambda _: 1 / 0)
    assert isinstance(l0_("calibrate", *files).exception, ZeroDivisionError)


def test_version():
    ended = l0_("--version")
    assert ended.exit_code == 0
    assert re.match(r"l0\W", ended.stdout)


def test_help_of_the_module_is_quick():
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "l0", "--help"], capture_output=True, text=True)
    assert ended.returncode == 0
    for command in ("demo", "calibrate", "frontier", "report", "check", "targets"):
        assert command in ended.stdout
    assert time.perf_counter() - started < 20  # 2 s where nothing else runs


@pytest.fixture
def interrupts_are_heard():
    """A shell's background job ignores interrupts, and so would the programs that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_are_heard")
def test_ctrl_c_leaves_nothing_behind(files):
    pty = pytest.importorskip("pty", reason="needs a terminal of the POSIX kind")
    terminal, their_end = pty.openpty()
    # The selection takes far longer than the signal does on a busy machine.
    slow = ["--n-records", "40", "--method", "path", "--epochs", "20000"]
    command = [sys.executable, "-m", "l0", "calibrate", *files, *slow]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=their_end, env=environment
    ) as fit:
        os.close(their_end)
        seen = b""
        try:
            while b"calibrating all records" not in seen:
                seen += read(terminal, within=60)
            fit.send_signal(signal.SIGINT)
            while chunk := read(terminal, within=30):
                seen += chunk
            if fit.wait(timeout=30) != 130:  # the terminal tells of an interrupt that was ignored
                pytest.fail(seen.decode())
            assert fit.stdout.read() == b""
        finally:
            fit.kill()
            os.close(terminal)
    assert seen.endswith(b"l0: interrupted\r\n")
    assert b"Traceback" not in seen
    assert not names()


def test_pyarrow_leaves_ctrl_c_to_python(files, monkeypatch):
    # With its handlers, it lost one interrupt in eight that came while it read a small CSV file.
    enabled = []
    monkeypatch.setattr(pa, "enable_signal_handlers", enabled.append)
    assert l0_("check", *files[:-2]).exit_code in (0, 1)
    assert enabled == [False]


def read(terminal, within):
    """Read what there is, for at most so many seconds; nothing once the other end is closed."""
    ready, _, _ = select.select([terminal], [], [], within)
    assert ready, "the terminal stays silent"
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""
