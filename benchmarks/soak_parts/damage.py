"""Files that are cut, overwritten or mixed up: inputs of each kind, and the files of a result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

import l0
from l0.calibration import CalibrationResult
from l0.data.writers import write_table
from soak_parts import survey

WHAT = "damaged files"
KINDS = (".csv", ".tsv", ".parquet", ".feather", ".dta", ".sav", ".xlsx")


def attempt(seed: int, scratch: Path) -> None:
    """Damage one file, and read it: as records, as targets, or as a part of a result."""
    rng = np.random.default_rng(seed)
    sound = scratch / "sound"
    if not sound.exists():
        _write(sound)
    role = rng.choice(["records", "targets", "result"])
    if role == "result":
        shutil.rmtree(scratch / "result", ignore_errors=True)
        shutil.copytree(sound / "result", scratch / "result")
        file = rng.choice(sorted(path for path in (scratch / "result").iterdir()))
        _damage(file, rng)
        loaded = CalibrationResult.load(scratch / "result")
        loaded.to_html(scratch / "page.html")
        str(loaded)
        return
    file = scratch / f"{role}{rng.choice(KINDS)}"
    shutil.copy(sound / file.name, file)
    _damage(file, rng)
    files = {each: sound / f"{each}.csv" for each in ("records", "targets")} | {role: file}
    result = l0.calibrate(
        str(files["records"]), str(files["targets"]), n_records=50, key="id", weight="weight"
    )
    if not (np.isfinite(result.values).all() and len(result.values) == 50):
        raise AssertionError("not 50 finite weights")


def _write(folder: Path) -> None:
    folder.mkdir()
    records, targets = survey.make(400)
    targets = targets.fillna("")
    for kind in KINDS:
        for name, frame in (("records", records), ("targets", targets)):
            write_table(pa.Table.from_pandas(frame), folder / f"{name}{kind}", name)
    result = l0.calibrate(records, targets, n_records=50, key="id", weight="weight")
    result.save(folder / "result")


def _damage(file: Path, rng: np.random.Generator) -> None:
    content = bytearray(file.read_bytes())
    size = len(content)
    places = rng.integers(max(size, 1), size=rng.integers(1, 20))
    how = rng.choice(["cut", "flip", "zeros", "longer", "twice"])
    if how == "cut":
        del content[int(places[0]) :]
    elif how == "flip":
        for place in places[places < size]:
            content[place] ^= 1 << int(rng.integers(8))
    elif how == "zeros":
        start, stop = sorted(int(place) for place in rng.integers(size + 1, size=2))
        content[start:stop] = bytes(stop - start)
    elif how == "longer":
        content += rng.bytes(int(rng.integers(1, 2_000)))
    else:
        start, stop = sorted(int(place) for place in rng.integers(size + 1, size=2))
        content[stop:stop] = content[start:stop]
    file.write_bytes(bytes(content))
