"""Columns that differ by less than the search can tell."""

from __future__ import annotations

import warnings

import numpy as np

from l0.common.errors import first_few
from l0.linear_model.design import Design

#: Unit columns at a distance up to the first are rounding errors apart; beyond the second, the
#: search tells them apart.
ROUNDING, TOLD = 1e-14, 3e-6
#: Columns compared with each one, in the order of a random projection.
NEIGHBOURS = 3


def near_copies(design: Design) -> list[tuple[int, int]]:
    """Return pairs of columns that differ by more than rounding, but less than the search can tell.

    The columns are sorted by the absolute value of a random projection, in which near copies are
    neighbours; neighbours are then compared.

    Parameters
    ----------
    design : Design
        Columns of length 1, or of zeros, in double precision.

    Returns
    -------
    list of pairs of int
    """
    n, p = design.shape
    if design.columns(np.arange(0)).dtype == np.float32:
        return []  # single precision does not hold such differences
    drawn = np.random.default_rng(0).normal(size=(n, 2))
    projected = np.abs(design.products(drawn))
    order = np.argsort(projected[:, 0], kind="stable")
    found: list[tuple[int, int]] = []
    for step in range(1, min(NEIGHBOURS, p - 1) + 1):
        left, right = order[:-step], order[step:]
        # A distance of d changes a projection by d times a normal variate: six sd leave room.
        near = (np.abs(projected[left] - projected[right]) <= 6 * TOLD).all(axis=1)
        near &= projected[left].any(axis=1)
        for a, b in zip(left[near], right[near], strict=True):
            pair = np.asarray(design.columns(np.array([a, b], np.int64)), np.float64)
            apart = np.linalg.norm(pair[:, 0] - np.sign(pair[:, 0] @ pair[:, 1]) * pair[:, 1])
            if ROUNDING * n**0.5 < apart <= TOLD:
                found.append((int(min(a, b)), int(max(a, b))))
    return sorted(found)


def warn_of_near_copies(design: Design, stacklevel: int) -> None:
    """Warn of columns of which the search takes one for a copy of the other, though it is none."""
    pairs = near_copies(design)
    if pairs:
        warnings.warn(
            f"these pairs of columns differ by less than {TOLD:.0e} of their size, so that only "
            f"one of each can be chosen: {first_few(pairs)}; if their difference matters, pass "
            "it as a column in place of one of them",
            stacklevel=stacklevel + 1,
        )
