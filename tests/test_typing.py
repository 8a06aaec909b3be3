"""What a user's type checker sees."""

import re

import pytest

SNIPPET = """
import os
import polars as pl
import l0
from l0.calibration import CalibrationProblem, CalibrationResult, check, targets_template

def use(frame: pl.DataFrame, path: str) -> None:
    result = l0.calibrate(frame, path, n_records=10, seed=3)
    reveal_type(result.metrics["loss"])
    reveal_type(result.metrics["untargeted_capped_error"])
    reveal_type(result.metrics["n_records"])
    reveal_type(result.weights)
    reveal_type(result.untargeted)
    reveal_type(result.select(frame))
    reveal_type(result.estimate(frame, "income", by="state", statistic="mean"))
    reveal_type(result.variance(lambda w: w.sum()).standard_error)
    reveal_type(l0.frontier(frame, path, n_records=[3]).to_frame())
    reveal_type(CalibrationProblem.from_frames(frame, path).solve(3).history)
    reveal_type(check(frame, path, n_records=3).groups)
    reveal_type(CalibrationProblem.from_frames(frame, path).check(3).to_frame())
    reveal_type(targets_template(frame, by=["area"], weight="w"))
    result.metrics["los"]
    l0.calibrat(frame, path)
    result.estimate(frame, statistc="mean")
    l0.calibrate(frame, path, sed=3)
    l0.calibrate(frame, path, seed="3")
    l0.calibrate(path, path, kind="numpy")
"""
REVEALED = [
    "float", "float | None", "int", "DataFrame", "DataFrame | None", "DataFrame", "DataFrame",
    "Any", "DataFrame", "DataFrame", "DataFrame", "DataFrame", "DataFrame",
]  # fmt: skip
ERRORS = [
    'has no key "los"',
    'no attribute "calibrat"',
    "statistc",
    "estimate",
    "sed",
    "seed|str",
    "kind|numpy|overload",
]


@pytest.mark.slow  # a type checker reads much
def test_results_are_typed_and_misspellings_are_errors(tmp_path):
    api = pytest.importorskip("mypy.api")
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    config = tmp_path / "mypy.ini"
    # Of torch nothing is asked here, and reading all of it would take a minute.
    config.write_text(
        "[mypy]\nignore_missing_imports = True\n[mypy-torch.*]\nfollow_imports = skip\n"
    )
    out, _, _ = api.run(
        [str(path), "--config-file", str(config), "--cache-dir", str(tmp_path / "cache")]
    )
    revealed = re.findall(r'Revealed type is "(.*)"', out)
    short = [re.sub(r"(?:\w+\.)+", "", name) for name in revealed]
    assert short == REVEALED, out
    errors = [line for line in out.splitlines() if ": error: " in line]
    assert len(errors) >= len(ERRORS), out
    for error, pattern in zip(errors, ERRORS, strict=False):
        assert re.search(pattern, error), out
