"""Disks that are full or read-only, as file systems of their own."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soak_parts import survey
from soak_parts.tally import Tally


def run(scratch: Path, seconds: float, seed: int) -> list[Tally]:
    """Write to disks that are too small or just large enough, and to read-only ones."""
    full, closed = Tally("a full disk"), Tally("a read-only disk")
    survey.write(scratch)
    process = survey.start(scratch, scratch / "reference")
    process.communicate()
    needed = sum(path.stat().st_size for path in (scratch / "reference").iterdir())
    end, chance = time.perf_counter() + seconds, random.Random(seed)
    while time.perf_counter() < end:
        size = int(chance.uniform(0.02, 1.6) * needed)
        try:
            with _disk(scratch / "disk", f"size={size}") as disk:
                _try(full, scratch, disk, f"{size:,} bytes")
            with _disk(scratch / "disk", "ro") as disk:
                _try(closed, scratch, disk, "read-only")
        except PermissionError as error:
            full.note = closed.note = f"skipped: {error}"
            break
    return [full, closed]


def _try(tally: Tally, scratch: Path, disk: Path, what: str) -> None:
    process = survey.start(scratch, disk / "out")
    _, complaints = process.communicate(timeout=300)
    tally.tries += 1
    left = [path.name for path in disk.iterdir()]
    if process.returncode == 2 and len(complaints.splitlines()) == 1:
        tally.refused += 1
        if left:
            tally.faults.append(f"{what}: it left {left}")
    elif process.returncode == 0:
        survey.digest(disk / "out")
    else:
        tally.faults.append(f"{what}: exit status {process.returncode}, {complaints[-300:]}")


@contextmanager
def _disk(place: Path, options: str) -> Iterator[Path]:
    if os.geteuid():
        raise PermissionError("only root can mount a file system of its own")
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"no file system can be mounted here ({done.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
