"""Columns that differ by less than the search can tell."""

from __future__ import annotations

import warnings

import numpy as np

from l0.common.errors import first_few
from l0.linear_model.design import DenseDesign, Standardised

#: Unit columns at a distance up to the first are rounding errors apart; beyond the second, the
#: search tells them apart.
ROUNDING, TOLD = 1e-14, 3e-6
#: The same where products are computed in single precision: the root of the share that
#: `Statistics.spanned` is then. The rounding error of a column grows with its mean.
SINGLE_ROUNDING, SINGLE_TOLD = 2.0**-22, 1e-3
#: Columns compared with each one, in the order of a random projection; at the larger distance more
#: columns lie between two near copies.
NEIGHBOURS, SINGLE_NEIGHBOURS = 3, 20
#: How many random projections tell columns that are not near.
PROJECTIONS = 4


def near_copies(standardised: Standardised) -> list[tuple[int, int]]:
    """Return pairs of columns that differ by more than rounding, but less than the search can tell.

    The columns are sorted by the absolute value of a random projection, in which near copies are
    neighbours; neighbours are then compared. A column that is a copy but for rounding is compared
    no further: the one that it copies stands for both.

    Parameters
    ----------
    standardised : Standardised
        Columns of length 1, or of zeros.

    Returns
    -------
    list of pairs of int
    """
    design, told = standardised.design, _told(standardised)
    n, p = design.shape
    neighbours, rounding = NEIGHBOURS, np.full(p, ROUNDING * n**0.5 / 2)
    if design.columns(np.arange(0)).dtype == np.float32:
        neighbours = SINGLE_NEIGHBOURS
        rounding = SINGLE_ROUNDING * (1 + np.abs(standardised.mean) / standardised.scale)
    drawn = np.random.default_rng(0).normal(size=(n, PROJECTIONS))
    projected = np.abs(design.products(drawn))
    order = np.argsort(projected[:, 0], kind="stable")
    found: list[tuple[int, int]] = []
    copies = np.logical_not(projected.any(axis=1))  # of each other: columns of zeros
    for step in range(1, min(neighbours, p - 1) + 1):
        left, right = order[:-step], order[step:]
        # A distance of d changes a projection by d times a normal variate: six sd leave room.
        near = (np.abs(projected[left] - projected[right]) <= 6 * told).all(axis=1)
        near &= ~(copies[left] | copies[right])
        for a, b in zip(left[near], right[near], strict=True):
            pair = np.asarray(design.columns(np.array([a, b], np.int64)), np.float64)
            apart = np.linalg.norm(pair[:, 0] - np.sign(pair[:, 0] @ pair[:, 1]) * pair[:, 1])
            if apart <= rounding[a] + rounding[b]:
                copies[b] = True
            elif apart <= told:
                found.append((int(min(a, b)), int(max(a, b))))
    return sorted(found)


def warn_of_near_copies(standardised: Standardised, stacklevel: int) -> None:
    """Warn of columns of which the search takes one for a copy of the other, though it is none."""
    pairs, told = near_copies(standardised), _told(standardised)
    if pairs:
        warnings.warn(
            f"these pairs of columns differ by less than {told:.0e} of their size, so that only "
            f"one of each can be chosen: {first_few(pairs)}; if their difference matters, pass "
            "it as a column in place of one of them"
            + (", or `X` in double precision" if told == SINGLE_TOLD else ""),
            stacklevel=stacklevel + 1,
        )


def _told(standardised: Standardised) -> float:
    """Return the distance from which on the search tells unit columns apart."""
    design = standardised.design
    # Of a sparse design, products are computed in double precision.
    single = isinstance(design, DenseDesign) and design.z.dtype == np.float32
    return SINGLE_TOLD if single else TOLD
