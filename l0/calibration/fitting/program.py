r"""The fit of fixed records as a convex program, and its dual.

For the ratios q of weights to base weights,

.. math::
    \min_{l \le q \le h} \; \sum_j p_j\, \rho\big((B q)_j\big) + \sum_i c_i D(q_i),

where rho is the distance of an estimate to the interval of its target, or its square, and D is a
distance of weights (`distances`). With multipliers lambda, one for each target, the dual is

.. math::
    \max_\lambda \; \sum_j \min_{z_j} \lambda_j z_j - [\lambda_j^2 / 4 p_j]
    + \sum_i \min_{l \le q \le h} \big( c_i D(q_i) - q_i (B' \lambda)_i \big),

with z_j in the interval of the target. With rho itself, abs(lambda_j) is at most p_j, and the term
in square brackets is absent. The difference of both values, the duality gap, bounds how far a q
is from the optimum (Boyd & Vandenberghe 2004, Convex Optimization, section 5.5.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.distances import Array, Distance
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.shared_products import Products, products_of
from l0.common.ranks import ONE, Ranks

#: A target that must be met is met if its error is at most this share of its size.
MET = 1e-9
#: The total of the weights is met up to this share of it, after at most so many corrections.
TOTAL_MET, TOTAL_ROUNDS = 1e-13, 50


@dataclass(eq=False, repr=False)
class Program:
    """The data of a fit, in units of the targets' scales and of the base weights.

    Attributes
    ----------
    matrix : ScaledMatrix, shape (m, k)
        B. An entry is what the base weight of a record adds to a target, as a share of its scale.
    low, high : ndarray of float64, shape (m,)
        The interval of each target, as shares of its scale. One side may be infinite.
    share : ndarray of float64, shape (m,)
        p >= 0. An infinite share means that the target must be met.
    squared : bool
        Whether rho is the squared distance to the interval.
    cost : ndarray of float64, shape (k,)
        c > 0.
    distance : Distance
        D.
    least, most : ndarray of float64, shape (k,)
        l and h, the bounds on q. They are infinite where there is none.
    total : bool
        Whether the last target is the total of the weights. It must be met.
    n_soft : int
        The number of soft targets, which may be missed even where all others can be met. They are
        the last ones, but for the total.
    passes : int
        How often the matrix was multiplied, in either direction.
    ranks : Ranks
        The processes that share the products and the factors. Each of them has the whole program.
    """

    matrix: ScaledMatrix
    low: Array
    high: Array
    share: Array
    squared: bool
    cost: Array
    distance: Distance
    least: Array
    most: Array
    total: bool = False
    n_soft: int = 0
    passes: int = 0
    ranks: Ranks = ONE

    def times(self, q: Array) -> Array:
        """Compute B q, shape (m,)."""
        self.passes += 1
        return self._products.times(q)

    def back(self, multipliers: Array) -> Array:
        """Compute B' lambda, shape (k,)."""
        self.passes += 1
        return self._products.back(multipliers)

    @cached_property
    def _products(self) -> Products:
        return products_of(self.matrix, self.ranks)

    @cached_property
    def soft(self) -> NDArray[np.bool_]:
        """Which targets are soft, shape (m,)."""
        soft = np.zeros(len(self.share), dtype=bool)
        end = len(soft) - self.total
        soft[end - self.n_soft : end] = True
        return soft

    @cached_property
    def size(self) -> Array:
        """The size of each target for a relative error: its value, or its sum of entries for 0."""
        sides = np.abs([self.low, self.high])
        value = np.where(np.isfinite(sides), sides, 0.0).max(axis=0)
        absolute = self.matrix.absolute
        return np.where(value > 1e-7 * absolute, value, np.maximum(absolute, 1e-300))

    @cached_property
    def signs(self) -> tuple[Array, Array]:
        """The least and the largest multiplier of each target, shapes (m,): 0 or infinite.

        A target without an upper limit never wants less, so that its multiplier is not negative.
        """
        return (
            np.where(np.isinf(self.high), 0.0, -np.inf),
            np.where(np.isinf(self.low), 0.0, np.inf),
        )

    def allowed(self, multipliers: Array, pulled: Array) -> tuple[Array, Array]:
        """Set multipliers of the wrong sign to 0. The dual value of others is -infinity.

        Returns
        -------
        multipliers, pulled : ndarray of float64, shapes (m,) and (k,)
            `pulled` is B' lambda.
        """
        right = np.clip(multipliers, *self.signs)
        if (right == multipliers).all():
            return multipliers, pulled
        return right, self.back(right)

    def outside(self, estimates: Array) -> Array:
        """Compute how far estimates are above (> 0) or below (< 0) the intervals, shape (m,)."""
        return estimates - np.clip(estimates, self.low, self.high)

    def missed(self, estimates: Array) -> NDArray[np.bool_]:
        """Tell which targets are not met, up to `MET`, shape (m,)."""
        return np.asarray(np.abs(self.outside(estimates)) > MET * self.size)

    def primal(self, q: Array, estimates: Array) -> float:
        """Compute the objective of q. It is infinite if a target that must be met is not."""
        miss = np.abs(self.outside(estimates))
        rho = miss**2 if self.squared else miss
        must = np.isinf(self.share)
        if (must & self.missed(estimates)).any():
            return np.inf
        datafit = float(np.where(must, 0.0, self.share) @ np.where(must, 0.0, rho))
        return datafit + self.pull(q)

    def pull(self, q: Array) -> float:
        """Compute the distance term of the objective."""
        return float(self.cost @ self.distance.value(q))

    def dual(self, multipliers: Array, pulled: Array) -> tuple[float, Array]:
        """Compute the dual value of multipliers, and the q that attains the inner minimum.

        Parameters
        ----------
        multipliers : ndarray of float64, shape (m,)
        pulled : ndarray of float64, shape (k,)
            B' lambda.
        """
        z = np.where(multipliers > 0, self.low, np.where(multipliers < 0, self.high, 0.0))
        value = float(multipliers @ z)
        if self.squared:
            value -= float((multipliers**2 / (4 * self.share)).sum())
        q = self.closest(pulled)
        return value + float(self.cost @ self.distance.value(q) - pulled @ q), q

    def closest(self, pulled: Array) -> Array:
        """Compute the q within its bounds that minimises c D(q) - q (B' lambda), shape (k,)."""
        return np.clip(self.distance.inverse_gradient(pulled / self.cost), self.least, self.most)

    def with_total(self, q: Array, estimates: Array) -> tuple[Array, Array]:
        """Move q within its bounds, so that the total of the weights is met.

        All ratios get the same factor, or the same addend if some are negative.

        Returns
        -------
        q, estimates : ndarray of float64, shapes (k,) and (m,)
        """
        parts = self.matrix.row(-1)
        first = q
        for _ in range(TOTAL_ROUNDS):
            missing = float(self.low[-1] - parts @ q)
            if abs(missing) <= TOTAL_MET * self.low[-1]:
                break
            inner = (q < self.most) if missing > 0 else (q > self.least)
            rest = parts * q if (q > 0).all() else parts
            add = missing / max(float(rest[inner].sum()), 1e-300) * (rest / parts)
            q = np.clip(np.where(inner, q + add, q), self.least, self.most)
        return q, estimates if q is first else self.times(q)

    def inside(self, q: Array) -> Array:
        """Move q into the domain of the distance, which is open."""
        low, high = self.distance.domain
        room = np.minimum(0.01 * (np.asarray(high) - low), 0.01)
        return np.clip(q, low + room, high - room)

    def stepped(self, q: Array, step: Array, fall: float, least: float) -> Array:
        """Add a step to q within the domain of the distance.

        A distance that is defined for q > 0 only gets a step of log q, of at least `fall`, if q
        would fall to less than half.
        """
        low, high = self.distance.domain
        if np.ndim(low) == 0 and low == 0:
            share = np.maximum(step / q, fall)
            factor = np.where(share > -0.5, 1 + share, 0.5 * np.exp(np.minimum(share, 0.0) + 0.5))
            return np.maximum(q * factor, least)
        moved = np.clip(q + step, q + 0.95 * (low - q), q + 0.95 * (high - q))
        if np.ndim(low) == 0:
            return moved
        # At the ends, the distance is infinitely steep. Rounding must not bring q there.
        room = np.maximum(1e-14 * (np.asarray(high) - low), 2 * np.spacing(high))
        return np.clip(moved, low + room, high - room)
