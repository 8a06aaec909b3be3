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
from scipy.special import expit, xlogy

from l0.common.errors import InputError, first_few

Array = NDArray[np.float64]

#: The largest size of log q for a q above 0.
MOST_LOG = 300.0


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

    def of(self, records: NDArray[np.int64]) -> Distance:
        """Give the distance of some of the records."""
        ...


@dataclass(frozen=True)
class Raking:
    """The raking (entropy) distance: D(q) = q log q - q + 1, and F(y) = exp(y).

    Deville & Särndal 1992, table 1, case 2.
    """

    domain = (0.0, np.inf)

    def value(self, q: Array) -> Array:
        """See `Distance.value`. D(0) is 1."""
        return np.asarray(xlogy(q, q) - q + 1)

    def gradient(self, q: Array) -> Array:
        """See `Distance.gradient`."""
        return np.log(q)

    def curvature(self, q: Array) -> Array:
        """See `Distance.curvature`."""
        return 1 / q

    def inverse_gradient(self, y: Array) -> Array:
        """See `Distance.inverse_gradient`."""
        # Products of larger numbers would be infinite, and q must be above 0.
        return np.exp(np.clip(y, -MOST_LOG, MOST_LOG))

    def of(self, records: NDArray[np.int64]) -> Raking:
        """See `Distance.of`."""
        return self


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

    def of(self, records: NDArray[np.int64]) -> Linear:
        """See `Distance.of`."""
        return self


@dataclass(frozen=True)
class Logit:
    """The logit distance, which keeps q within (L, U).

    With A = (U - L) / ((C - L) (U - C)), where C = 1 for L < 1 < U,

        D(q) = ((q - L) log((q - L) / (C - L)) + (U - q) log((U - q) / (U - C))) / A,
        F(y) = (L (U - C) + U (C - L) exp(A y)) / (U - C + (C - L) exp(A y))

    (Deville & Särndal 1992, table 1, case 6).

    Attributes
    ----------
    low, high : ndarray of float64, shape (k,)
        L and U.
    centre : ndarray of float64, shape (k,)
        C, the minimum of D: 1, or a value inside the limits if 1 is outside.
    """

    low: Array
    high: Array
    centre: Array

    @property
    def domain(self) -> tuple[Array, Array]:
        """See `Distance.domain`."""
        return self.low, self.high

    @property
    def _steepness(self) -> Array:
        return (self.high - self.low) / ((self.centre - self.low) * (self.high - self.centre))

    def value(self, q: Array) -> Array:
        """See `Distance.value`."""
        below, above = q - self.low, self.high - q
        left = xlogy(below, below / (self.centre - self.low))
        right = xlogy(above, above / (self.high - self.centre))
        return np.asarray((left + right) / self._steepness)

    def gradient(self, q: Array) -> Array:
        """See `Distance.gradient`."""
        below, above = q - self.low, self.high - q
        odds = below * (self.high - self.centre) / (above * (self.centre - self.low))
        return np.asarray(np.log(odds) / self._steepness)

    def curvature(self, q: Array) -> Array:
        """See `Distance.curvature`. It is infinite at L and U."""
        with np.errstate(divide="ignore"):
            return np.asarray((1 / (q - self.low) + 1 / (self.high - q)) / self._steepness)

    def inverse_gradient(self, y: Array) -> Array:
        """See `Distance.inverse_gradient`."""
        # In this form, rounding never takes q out of [L, U].
        start = np.log((self.centre - self.low) / (self.high - self.centre))
        share = expit(self._steepness * y + start)
        return np.asarray(self.low + (self.high - self.low) * share)

    def of(self, records: NDArray[np.int64]) -> Logit:
        """See `Distance.of`."""
        return Logit(self.low[records], self.high[records], self.centre[records])


#: The names of the distances.
DISTANCES = ("raking", "linear", "logit")


def checked_distance(name: str) -> str:
    """Check the name of a distance. For an unknown one, the `InputError` lists the known ones."""
    if not isinstance(name, str) or name not in DISTANCES:
        raise InputError(f"`distance` is {name!r}; it must be one of {first_few(DISTANCES)}")
    return name
