"""What the squared deviations of the survey's own replicate weights count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def survey_rscales(
    method: str,
    n_columns: int,
    rho: float | None = None,
    scale: float | None = None,
    rscales: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """Compute what the squared deviation of each column counts, with the scale in it.

    Parameters
    ----------
    method, rho, scale, rscales
        As in `SurveyReplicates`.
    n_columns : int
        R.

    Returns
    -------
    ndarray of float64, shape (R,)

    Examples
    --------
    >>> from l0.calibration.variance.survey_replicates import survey_rscales
    >>> survey_rscales("Fay", 4, rho=0.5)
    array([1., 1., 1., 1.])
    """
    own = {
        "BRR": 1 / n_columns,
        "Fay": 1 / (n_columns * (1 - (rho or 0.0)) ** 2),
        "JK1": (n_columns - 1) / n_columns,
        "JKn": 1.0,
        "bootstrap": 1 / n_columns,
        "SDR": 4 / n_columns,
    }
    of_columns = np.ones(n_columns) if rscales is None else np.asarray(rscales, dtype=np.float64)
    return of_columns * (own[method] if scale is None else scale)
