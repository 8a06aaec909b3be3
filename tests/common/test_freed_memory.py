import sys
from pathlib import Path

import numpy as np
import pytest

from l0.common.freed_memory import give_back


def own_memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_small_arrays_that_were_freed_are_given_back():
    arrays = [np.ones(10_000) for _ in range(1_000)]
    last = arrays[-1]  # it is above the others, and keeps them from being given back
    del arrays
    before = own_memory()
    give_back()
    assert own_memory() < before - 40_000
    assert last.sum() == 10_000


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_do_without(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("l0.common.freed_memory.ctypes.CDLL", None)
    give_back()
