"""What is left to choose once some columns are in and some are out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix


@dataclass(frozen=True)
class Remainder:
    r"""The choice of up to r of the free columns F beside the columns I that are in.

    With A = Z'Z + l2 I and c = Z'y, a choice S explains :math:`c_S' A_{SS}^{-1} c_S`. Once I is
    projected out, that is what I explains plus the same formula with

    .. math::
        A_{FF} - A_{FI} A_{II}^{-1} A_{IF} \qquad\text{and}\qquad c_F - A_{FI} A_{II}^{-1} c_I

    Attributes
    ----------
    inside : ndarray of int64
        I.
    free : ndarray of int64, shape (m,)
        F.
    room : int
        r.
    explained : float
        What I explains.
    products : ndarray of float64, shape (m, m)
        A, without what I explains of it.
    cross : ndarray of float64, shape (m,)
        c, without what I explains of it.
    """

    inside: Positions
    free: Positions
    room: int
    explained: float
    products: Matrix
    cross: Matrix

    @classmethod
    def of(
        cls, products: Matrix, cross: Matrix, inside: Positions, free: Positions, room: int
    ) -> Remainder:
        """Project columns out.

        Parameters
        ----------
        products : ndarray of float64, shape (p, p)
            A of all columns.
        cross : ndarray of float64, shape (p,)
            c of all columns.
        inside, free : ndarray of int64
            Positions of columns.
        room : int
            How many of the free ones may come in.
        """
        rest, own = products[np.ix_(free, free)], cross[free]
        if not len(inside):
            return cls(inside, free, room, 0.0, rest, own)
        factor = np.linalg.cholesky(products[np.ix_(inside, inside)])
        paths = np.linalg.solve(factor, products[np.ix_(inside, free)])
        along = np.linalg.solve(factor, cross[inside])
        return cls(
            inside, free, room, float(along @ along), rest - paths.T @ paths, own - paths.T @ along
        )

    def restricted(self, places: Positions) -> Remainder:
        """Keep some of the free columns."""
        return Remainder(
            self.inside,
            self.free[places],
            self.room,
            self.explained,
            self.products[np.ix_(places, places)],
            self.cross[places],
        )

    def everything(self) -> float:
        """Return what all columns explain that are not out: no choice explains more."""
        return self.explained + float(
            self.cross @ np.linalg.lstsq(self.products, self.cross, rcond=None)[0]
        )

    def singles(self) -> Matrix:
        """Return what is explained with each free column added, (m,)."""
        return self.explained + _ratio(self.cross**2, np.diag(self.products))

    def pairs(self) -> Matrix:
        """Return what is explained with two free columns added, (m, m), symmetric."""
        a, c, own = self.products, self.cross, np.diag(self.products)
        squares = np.outer(c**2, own)
        gain = squares + squares.T - 2 * np.outer(c, c) * a
        both = _ratio(gain, np.outer(own, own) - a**2)
        single = _ratio(c**2, own)
        np.fill_diagonal(both, single)
        # A pair explains at least what each of its columns does, also where they are copies.
        return self.explained + np.maximum(both, np.maximum(single[:, None], single))


def _ratio(squares: Matrix, left: Matrix) -> Matrix:
    ratio: Matrix = np.divide(squares, left, out=np.zeros(squares.shape), where=left > 0)
    return ratio
