"""Draw the path of an estimator: coefficients and criterion against the number of columns."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from l0.common.plots import BLUE, matplotlib, save_figure

#: The colour of columns that are not in the final choice.
OTHER = "#BBBBBB"
#: With more chosen columns than this, the figure has no legend.
NAMED = 20


def draw_path(estimator: Any, path: str | os.PathLike[str] | None) -> Any:
    """Draw the path of a fitted estimator, and save the figure if `path` is given.

    Parameters
    ----------
    estimator : L0Regressor or L0Classifier
        Fitted.
    path : str or path, optional
        The file to write; its suffix names the format.

    Returns
    -------
    matplotlib.figure.Figure
        Coefficients above, with a line for each column that was ever chosen; the criterion below.
        A dotted line marks the size of the final choice.
    """
    sizes = [len(columns) for columns in estimator.path_]
    figure = matplotlib("figure").Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    # With several classes a column has several coefficients; draw their Euclidean norm.
    coefficients = np.asarray(estimator.coefs_path_, dtype=np.float64)
    if coefficients.ndim == 3:
        coefficients = np.sqrt(np.sum(coefficients**2, axis=1))
    names = getattr(estimator, "feature_names_in_", range(coefficients.shape[1]))
    chosen = set(estimator.support_.tolist())
    for column in np.flatnonzero(coefficients.any(axis=0)):
        # NaN interrupts the line of a column at the sizes that leave it out.
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
