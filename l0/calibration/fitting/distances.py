"""Distances of weights to base weights, one class each.

A distance D(q) measures how far the ratio q of a weight to its base weight is from 1. The weights
of a calibration minimise a weighted sum of it (Deville & Särndal 1992, JASA 87(418), table 1). All
functions work on arrays, shape (k,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]


class Distance(Protocol):
    """A strictly convex function D of q with the minimum D(1) = 0."""

    @property
    def domain(self) -> tuple[Array | float, Array | float]:
        """The open interval on which D is defined."""
        ...

    def value(self, q: Array) -> Array:
        """Compute D(q)."""
        ...

    def gradient(self, q: Array) -> Array:
        """Compute D'(q)."""
        ...

    def curvature(self, q: Array) -> Array:
        """Compute D''(q)."""
        ...

    def inverse_gradient(self, y: Array) -> Array:
        """Compute the q with D'(q) = y, which Deville & Särndal call F(y)."""
        ...


@dataclass(frozen=True)
class Raking:
    """The raking (entropy) distance: D(q) = q log q - q + 1, and F(y) = exp(y).

    Deville & Särndal 1992, table 1, case 2.
    """

    domain = (0.0, np.inf)

    def value(self, q: Array) -> Array:
        """See `Distance.value`. D(0) is 1."""
        return np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0) - q + 1

    def gradient(self, q: Array) -> Array:
        """See `Distance.gradient`."""
        return np.log(q)

    def curvature(self, q: Array) -> Array:
        """See `Distance.curvature`."""
        return 1 / q

    def inverse_gradient(self, y: Array) -> Array:
        """See `Distance.inverse_gradient`."""
        return np.exp(np.minimum(y, 700.0))  # exp(710) is infinite


@dataclass(frozen=True)
class Linear:
    """The linear (chi-squared) distance: D(q) = (q - 1)^2 / 2, and F(y) = 1 + y.

    Its weights are those of the generalised regression estimator (Deville & Särndal 1992, table 1,
    case 1). Without bounds, some can be negative.
    """

    domain = (-np.inf, np.inf)

    def value(self, q: Array) -> Array:
        """See `Distance.value`."""
        return (q - 1) ** 2 / 2

    def gradient(self, q: Array) -> Array:
        """See `Distance.gradient`."""
        return q - 1

    def curvature(self, q: Array) -> Array:
        """See `Distance.curvature`."""
        return np.ones_like(q)

    def inverse_gradient(self, y: Array) -> Array:
        """See `Distance.inverse_gradient`."""
        return 1 + y


@dataclass(frozen=True)
class Logit:
    """The logit distance, which keeps q within (L, U), where L < 1 < U.

    With A = (U - L) / ((1 - L) (U - 1)),

        D(q) = ((q - L) log((q - L) / (1 - L)) + (U - q) log((U - q) / (U - 1))) / A,
        F(y) = (L (U - 1) + U (1 - L) exp(A y)) / (U - 1 + (1 - L) exp(A y))

    (Deville & Särndal 1992, table 1, case 6).

    Attributes
    ----------
    low, high : float or ndarray of float64, shape (k,)
        L and U.
    """

    low: Array | float
    high: Array | float

    @property
    def domain(self) -> tuple[Array | float, Array | float]:
        """See `Distance.domain`."""
        return self.low, self.high

    @property
    def _steepness(self) -> Array | float:
        return (self.high - self.low) / ((1 - self.low) * (self.high - 1))

    def value(self, q: Array) -> Array:
        """See `Distance.value`."""
        below, above = q - self.low, self.high - q
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(below > 0, below * np.log(below / (1 - self.low)), 0.0)
            right = np.where(above > 0, above * np.log(above / (self.high - 1)), 0.0)
        return np.asarray((left + right) / self._steepness)

    def gradient(self, q: Array) -> Array:
        """See `Distance.gradient`."""
        odds = (q - self.low) * (self.high - 1) / ((self.high - q) * (1 - self.low))
        return np.asarray(np.log(odds) / self._steepness)

    def curvature(self, q: Array) -> Array:
        """See `Distance.curvature`."""
        return np.asarray((1 / (q - self.low) + 1 / (self.high - q)) / self._steepness)

    def inverse_gradient(self, y: Array) -> Array:
        """See `Distance.inverse_gradient`."""
        # q = L + (U - L) / (1 + exp(-(A y + log((1 - L) / (U - 1))))): it never leaves [L, U].
        start = np.log((1 - self.low) / (self.high - 1))
        return np.asarray(
            self.low + (self.high - self.low) * expit(self._steepness * y + start)
        )
