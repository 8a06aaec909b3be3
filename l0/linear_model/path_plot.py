"""A figure of the path: coefficients and criterion over the number of columns."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from l0.common.plots import BLUE, matplotlib, save_figure

#: Colour of columns that are not chosen in the end, and up to how many of the chosen are named.
OTHER, NAMED = "#BBBBBB", 20


def draw_path(estimator: Any, path: str | os.PathLike[str] | None) -> Any:
    """Draw the path of a fitted estimator, and write it where `path` says."""
    sizes = [len(columns) for columns in estimator.path_]
    figure = matplotlib("figure").Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    # The size of a column's coefficients over all classes, where there are several.
    coefficients = np.asarray(estimator.coefs_path_, dtype=np.float64)
    if coefficients.ndim == 3:
        coefficients = np.sqrt(np.sum(coefficients**2, axis=1))
    names = getattr(estimator, "feature_names_in_", range(coefficients.shape[1]))
    chosen = set(estimator.support_.tolist())
    for column in np.flatnonzero(coefficients.any(axis=0)):
        # A column has no line where it is not chosen.
        values = np.where(coefficients[:, column] == 0, np.nan, coefficients[:, column])
        look = {"label": str(names[column])} if column in chosen else {"color": OTHER, "zorder": 1}
        above.plot(sizes, values, marker=".", linewidth=1, **look)
    if 0 < len(chosen) <= NAMED:
        above.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)
    above.axhline(0, color="black", linewidth=0.5)
    above.set_ylabel("coefficient")
    below.plot(sizes, estimator.criterion_path_, color=BLUE, marker=".")
    below.set_ylabel("criterion")
    below.set_xlabel("columns")
    below.xaxis.get_major_locator().set_params(integer=True)
    for axes in (above, below):
        axes.axvline(estimator.n_features_selected_, color="grey", linestyle=":")
    if path is not None:
        save_figure(figure, path)
    return figure
