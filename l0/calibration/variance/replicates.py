"""Replicate weights, and the variance that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few


@dataclass(frozen=True, eq=False)
class Replicates:
    r"""Replicate weights: the weights that repetitions of a sample would have had.

    The variance of an estimate :math:`\hat\theta` is

    .. math:: v(\hat\theta) = \sum_c r_c (\hat\theta_c - \hat\theta)^2,

    where :math:`\hat\theta_c` is the same statistic under the weights of column c (Wolter 2007,
    Introduction to Variance Estimation, chapter 4). The deviations are from the main estimate and
    not from the mean of the columns, as with ``mse=TRUE`` in R's package survey.

    Attributes
    ----------
    weights : ndarray of float64, shape (k, C)
        A column for each replicate, in the order of the main weights.
    rscales : ndarray of float64, shape (C,)
        The factors :math:`r_c`. A scale that all columns share is part of them.
    method : str
        How they were made, such as ``Jackknife(80)``.
    gap : float, optional
        The largest relative duality gap of the fits of the columns.

    Examples
    --------
    The jackknife that deletes one of n records at a time gives the textbook's variance of a mean:

    >>> import numpy as np
    >>> from l0.calibration.variance.replicates import Replicates
    >>> x = np.array([3.0, 5.0, 10.0])
    >>> replicates = Replicates((1 - np.eye(3)) * 3 / 2, np.full(3, 2 / 3), "Jackknife(3)")
    >>> means = x @ replicates.weights / replicates.weights.sum(axis=0)
    >>> bool(np.isclose(replicates.variance(means, x.mean()), x.var(ddof=1) / 3))
    True
    """

    weights: NDArray[np.float64]
    rscales: NDArray[np.float64]
    method: str
    gap: float | None = None

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        rscales = np.asarray(self.rscales, dtype=np.float64)
        if weights.ndim != 2 or weights.shape[1] < 2:
            raise InputError(
                f"`weights` of replicates has shape {weights.shape}; pass a row for each record "
                "and at least two columns"
            )
        if rscales.shape != weights.shape[1:]:
            raise InputError(
                f"`rscales` has shape {rscales.shape} for {weights.shape[1]:,} columns of "
                "replicate weights; pass a number for each column"
            )
        wrong = np.flatnonzero(~(np.isfinite(rscales) & (rscales >= 0)))
        if wrong.size:
            raise InputError(
                f"`rscales` is negative or not finite at {wrong.size:,} positions "
                f"({first_few(wrong.tolist())}); a factor of a variance is at least 0"
            )
        wrong = np.flatnonzero(~np.isfinite(weights).all(axis=0))
        if wrong.size:
            raise InputError(
                f"`weights` of replicates is not finite in {wrong.size:,} columns "
                f"({first_few(f'rw{column + 1}' for column in wrong)}); leave them out"
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "rscales", rscales)

    @property
    def size(self) -> int:
        """The number of columns, C."""
        return len(self.rscales)

    @property
    def degrees(self) -> int:
        """The degrees of freedom of Student's t: the number of columns less 1."""
        return self.size - 1

    def t(self, level: float) -> float:
        """Half of the width of an interval of this level, in standard errors."""
        return float(scipy.stats.t.ppf((1 + level) / 2, self.degrees))

    def variance(
        self, replicates: NDArray[np.float64], estimate: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        """Compute the variance of statistics.

        Parameters
        ----------
        replicates : ndarray of float64, shape (C, ...)
            The statistics under each column.
        estimate : ndarray of float64, shape (...)
            The statistics under the main weights.

        Returns
        -------
        ndarray of float64, shape (...)
        """
        return np.asarray(np.tensordot(self.rscales, (replicates - estimate) ** 2, axes=1))

    def covariance(
        self, replicates: NDArray[np.float64], estimate: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the covariance matrix of p statistics.

        Parameters
        ----------
        replicates : ndarray of float64, shape (C, p)
        estimate : ndarray of float64, shape (p,)

        Returns
        -------
        ndarray of float64, shape (p, p)
        """
        deviations = replicates - estimate
        return np.asarray(deviations.T @ (self.rscales[:, None] * deviations))
