"""Where a result comes from: what it takes to repeat the run, and to know that it is the same."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from l0.calibration.problem.core import CalibrationProblem


def describe_source(source: Any) -> dict[str, Any]:
    """Say where an input comes from: a file's place and digest, or a frame's kind and shape."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).resolve()
        with path.open("rb") as file:
            return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return {"frame": type(source).__module__.split(".")[0], "shape": list(source.shape)}


def digest(problem: CalibrationProblem) -> str:
    """Fingerprint of the compiled problem: the same rows in any order give the same."""
    fingerprint = hashlib.sha256()
    matrix = problem.matrix
    for array in (matrix.indptr, matrix.indices, matrix.data, problem.values,
                  problem.design_weights, problem.importance, problem.tolerance):  # fmt: skip
        fingerprint.update(np.ascontiguousarray(array).data)
    fingerprint.update("\n".join(problem.names).encode())
    return fingerprint.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("l0-python", "torch", "numpy", "scipy", "pyarrow", "narwhals"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[package] = "unknown"
    return found
