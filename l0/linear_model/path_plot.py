"""A figure of the path: coefficients and criterion over the number of columns."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from l0.plots import BLUE, matplotlib, save_figure


def draw_path(estimator: Any, path: str | os.PathLike[str] | None) -> Any:
    """Draw the path of a fitted estimator, and write it where `path` says."""
    sizes = [len(columns) for columns in estimator.path_]
    figure = matplotlib("figure").Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    # The size of a column's coefficients over all classes, where there are several.
    coefficients = np.asarray(estimator.coefs_path_, dtype=np.float64)
    if coefficients.ndim == 3:
        coefficients = np.sqrt(np.sum(coefficients**2, axis=1))
    for column in np.flatnonzero(coefficients.any(axis=0)):
        above.plot(sizes, coefficients[:, column], marker=".", linewidth=1)
    above.axhline(0, color="black", linewidth=0.5)
    above.set_ylabel("coefficient")
    below.plot(sizes, estimator.criterion_path_, color=BLUE, marker=".")
    below.set_ylabel("criterion")
    below.set_xlabel("columns")
    for axes in (above, below):
        axes.axvline(estimator.n_features_selected_, color="grey", linestyle=":")
    if path is not None:
        save_figure(figure, path)
    return figure
