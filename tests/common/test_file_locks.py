import subprocess
import sys

from l0.common.file_locks import hold_lock

HOLDS = """
import sys, time, pathlib
from l0.common.file_locks import hold_lock
held = hold_lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_one_holds_it_at_a_time(tmp_path):
    first = hold_lock(tmp_path / "lock")
    assert first is not None
    assert hold_lock(tmp_path / "lock") is None
    first.close()
    second = hold_lock(tmp_path / "lock")
    assert second is not None
    second.close()


def test_it_ends_with_a_process_that_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDS, tmp_path / "lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert hold_lock(tmp_path / "lock") is None
        other.kill()
    held = hold_lock(tmp_path / "lock")
    assert held is not None
    held.close()
