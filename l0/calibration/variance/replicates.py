"""Replicate weights, and the variance that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.common.formatting import counted


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
                f"`rscales` has shape {rscales.shape} for {counted(weights.shape[1], 'column')} of "
                "replicate weights; pass a number for each column"
            )
        wrong = np.flatnonzero(~(np.isfinite(rscales) & (rscales >= 0)))
        if wrong.size:
            raise InputError(
                f"`rscales` is negative or not finite at {counted(wrong.size, 'position')} "
                f"({first_few(wrong.tolist())}); a factor of a variance is at least 0"
            )
        wrong = np.flatnonzero(~np.isfinite(weights).all(axis=0))
        if wrong.size:
            raise InputError(
                f"`weights` of replicates is not finite in {counted(wrong.size, 'column')} "
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

    def t(self, level: float, n_records: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute half of the widths of intervals, in standard errors.

        The degrees of freedom are those of the columns, or, if that is less, those of the domain:
        the number of its records less 1, as for a domain with as many sampled units in one stratum
        (Korn & Graubard 1999, Analysis of Health Surveys, section 5.2; Parker et al. 2017, Vital
        and Health Statistics 2(175)). A single record has none, and counts as two.

        Parameters
        ----------
        level : float
            The coverage that the intervals should have.
        n_records : ndarray of int64, shape (d,)
            The number of records with a contribution to each estimate.

        Returns
        -------
        ndarray of float64, shape (d,)

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration.variance.replicates import Replicates
        >>> replicates = Replicates(np.ones((4, 80)), np.ones(80), "Jackknife(80)")
        >>> replicates.t(0.95, np.array([1, 2, 10, 1000])).round(2)
        array([12.71, 12.71,  2.26,  1.99])
        """
        degrees = np.clip(n_records - 1, 1, self.degrees)
        return np.asarray(scipy.stats.t.ppf((1 + level) / 2, degrees))

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
