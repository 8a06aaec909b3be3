r"""Bounds on what any choice of a remainder explains, by perspective relaxation.

With :math:`M = A - \operatorname{diag}(D)` positive definite and D > 0, every choice S of up to r
columns with slopes b, and every vector u, satisfy

.. math::
    2 c'b - b'Ab
    = \big(2 (c - u)'b - b'Mb\big) + \sum_{j \in S} (2 u_j b_j - D_j b_j^2)
    \le (c - u)' M^{-1} (c - u) + \sum_{\text{the } r \text{ largest}} \frac{u_j^2}{D_j}

so that the right side bounds what a choice explains, whatever u and D. For D = l2, its least value
over u is the perspective relaxation, the dual of what Bertsimas & Van Parys 2020 ("Sparse
high-dimensional regression", Annals of Statistics 48(1), theorem 1) have with z between 0 and 1.
Hazimeh, Mazumder & Saab 2021 ("Sparse regression at scale", Mathematical Programming 196) use it
for a penalty on the number of columns. A larger D takes a part of Z'Z for the ridge: Frangioni &
Gentile 2007 ("SDP diagonalizations and perspective cuts", Operations Research Letters 35(2)). Dong,
Chen & Linderoth 2015 ("Regularization vs. relaxation", arXiv:1510.06083) choose the D whose bound
is the least one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from l0.linear_model.certificate.remainder import Remainder
from l0.linear_model.statistics import Matrix

#: The least share of a column in a relaxed choice.
LEAST_SHARE = 1e-12
#: A relaxation is solved up to this share of the sum of squares.
CLOSE = 1e-6


@dataclass(frozen=True)
class Bound:
    """A bound, and what it says of single columns.

    Attributes
    ----------
    value : float
        No choice explains more.
    scores : ndarray of float64, shape (m,)
        u^2 / D of each free column: what it may add to the bound.
    room : int
        r, how many of the scores count.
    """

    value: float
    scores: Matrix
    room: int

    @classmethod
    def of(cls, remainder: Remainder, diagonal: Matrix, part: Matrix) -> Bound | None:
        """Compute the bound of some D and u; None where A - D is not positive definite."""
        left = remainder.products.copy()
        left[np.diag_indices(len(left))] -= diagonal
        try:
            factor = cho_factor(left, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        rest = remainder.cross - part
        smooth = float(rest @ cho_solve(factor, rest, check_finite=False))
        return cls._joined(remainder, smooth, part**2 / diagonal)

    @classmethod
    def _joined(cls, remainder: Remainder, smooth: float, scores: Matrix) -> Bound:
        top = np.sort(scores)[::-1][: remainder.room].sum()
        return cls(remainder.explained + smooth + float(top), scores, remainder.room)

    def with_each(self) -> Matrix:
        """Return the bound of the choices with each free column, (m,)."""
        least = np.sort(self.scores)[::-1][self.room - 1]
        return np.asarray(self.value - np.maximum(least - self.scores, 0.0))

    def without_each(self) -> Matrix:
        """Return the bound of the choices without each free column, (m,)."""
        following = np.sort(self.scores)[::-1][self.room]
        return np.asarray(self.value - np.maximum(self.scores - following, 0.0))


def relaxed(
    remainder: Remainder, diagonal: Matrix, shares: Matrix, steps: int, enough: float, scale: float
) -> tuple[Bound, Matrix]:
    r"""Solve the perspective relaxation for a given D, from below and above.

    .. math::
        \min_{b, z} \; b'Mb - 2c'b + \sum_j D_j b_j^2 / z_j
        \quad\text{with}\quad \sum_j z_j = r, \; 0 < z_j \le 1

    is minimised over b and over z in turn; each b gives the bound with u = c - M b.

    Parameters
    ----------
    remainder : Remainder
        With more free columns than room.
    diagonal : ndarray of float64, shape (m,)
        D, with A - D positive semidefinite.
    shares : ndarray of float64, shape (m,)
        z to start from.
    steps : int
        The most steps.
    enough : float
        A bound up to this is good enough.
    scale : float
        The sum of squares of the outcome.

    Returns
    -------
    Bound
        The least one.
    ndarray of float64, shape (m,)
        Its z.
    """
    left = remainder.products.copy()
    left[np.diag_indices(len(left))] -= diagonal
    best: Bound | None = None
    kept = shares
    for _ in range(steps):
        rooted = np.sqrt(shares / diagonal)
        system = rooted[:, None] * left * rooted
        system[np.diag_indices(len(system))] += 1.0
        factor = cho_factor(system, overwrite_a=True, check_finite=False)
        slopes = rooted * cho_solve(factor, rooted * remainder.cross, check_finite=False)
        along = left @ slopes
        scores = (remainder.cross - along) ** 2 / diagonal
        found = Bound._joined(remainder, float(slopes @ along), scores)
        if best is None or found.value < best.value:
            best, kept = found, shares
        reached = remainder.explained + float(remainder.cross @ slopes)
        if best.value <= enough or best.value - reached <= CLOSE * scale:
            break
        sizes = np.sqrt(diagonal) * np.abs(slopes)
        shares = np.maximum(_best_shares(sizes, remainder.room), LEAST_SHARE)
    assert best is not None
    return best, kept


def _best_shares(sizes: Matrix, room: int) -> Matrix:
    """Return the z with sum r and at most 1 for which the sum of sizes^2 / z is least."""
    ordered = np.sort(sizes)[::-1]
    sums = np.cumsum(ordered[::-1])[::-1][:room]
    level = sums / np.arange(room, 0, -1)
    full = int(np.argmax(ordered[:room] <= level))  # these come first, with the share 1
    return np.minimum(1.0, sizes / max(float(level[full]), 1e-300))
