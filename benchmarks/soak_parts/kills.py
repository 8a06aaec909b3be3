"""Runs that are killed at random moments, by a signal that no program can see."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

from soak_parts import survey
from soak_parts.tally import Tally

#: How often a run is killed before it may end, and options that make it long enough for that.
KILLS = 5
THOROUGH = ("--replicates", "30")


def run(scratch: Path, seconds: float, seed: int) -> list[Tally]:
    """Kill runs without a checkpoint and with one; each kind has half of the time."""
    folders = scratch / "without", scratch / "with"
    for folder in folders:
        folder.mkdir()
    return [_started_over(folders[0], seconds / 2, seed), _resumed(folders[1], seconds / 2, seed)]


def _started_over(scratch: Path, seconds: float, seed: int) -> Tally:
    """Kill runs over an earlier result, which must stay whole, and then run undisturbed.

    A folder that is new to the run must not be there unless it is whole.
    """
    end, chance = time.perf_counter() + seconds, random.Random(seed)
    survey.write(scratch)
    old, new = scratch / "old", scratch / "new"
    before = time.perf_counter()
    _finish(survey.start(scratch, old, keep=survey.KEEP // 2))
    usual = time.perf_counter() - before
    _finish(survey.start(scratch, scratch / "reference"))
    whole = {survey.digest(old): "earlier", survey.digest(scratch / "reference"): "new"}
    tally, ended = Tally("killed at a random moment (kill -9)"), {"earlier": 0, "new": 0}
    while time.perf_counter() < end:
        out = old if tally.tries % 2 else new
        process = survey.start(scratch, out)
        moment = chance.uniform(0.3, 1.1) * usual
        time.sleep(moment)
        process.kill()
        process.communicate()
        tally.tries += 1
        try:
            if out.exists():
                ended[whole[survey.digest(out)]] += 1
        except Exception as error:  # whatever it is, the folder is not whole
            tally.faults.append(f"killed after {moment:.2f} s: {error!r}")
    _finish(survey.start(scratch, new))
    if whole.get(survey.digest(new)) != "new":
        tally.faults.append("a run after the killed ones has other weights")
    litter = [path for path in scratch.iterdir() if path.name.startswith(".")]
    tally.note = (
        f"{ended['earlier']} left the earlier result and {ended['new']} the new one; "
        f"{len(litter)} left a hidden folder beside it"
    )
    return tally


def _resumed(scratch: Path, seconds: float, seed: int) -> Tally:
    """Kill a run again and again, resume it each time, and compare its bits at the end."""
    end, chance = time.perf_counter() + seconds, random.Random(seed)
    survey.write(scratch)
    before = time.perf_counter()
    _finish(survey.start(scratch, scratch / "reference", *THOROUGH))
    usual, wanted = time.perf_counter() - before, survey.digest(scratch / "reference")
    tally, rounds = Tally("killed, and resumed from a checkpoint"), 0
    while time.perf_counter() < end:
        out, words = scratch / f"out-{rounds}", ("--checkpoint", str(scratch / f"kept-{rounds}"))
        for _ in range(KILLS):
            process = survey.start(scratch, out, *THOROUGH, *words, "--resume")
            try:
                process.communicate(timeout=chance.uniform(0.3, 1.0) * usual)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                tally.tries += 1
        _finish(survey.start(scratch, out, *THOROUGH, *words, "--resume"))
        if survey.digest(out) != wanted:
            tally.faults.append(f"round {rounds} of seed {seed} ended with other weights")
        rounds += 1
    tally.note = f"{rounds} runs ended with the bits of an undisturbed one"
    return tally


def _finish(process: subprocess.Popen[str]) -> None:
    printed, complaints = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"an undisturbed run failed: {printed}{complaints}")
