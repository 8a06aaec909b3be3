"""The cube method: samples that are balanced on many variables.

The vector of inclusion probabilities q is a point in the cube [0, 1]^n, and a sample is one of its
corners. The cube method (Deville & Tillé 2004, Biometrika 91(4)) is a random walk from q to a
corner. Each step keeps the sums of the balancing variables and the expectation of each coordinate,
and decides at least one unit: its coordinate becomes 0 or 1.

A step needs a direction u with sum_i u_i z_i = 0. The fast flight phase (Chauvet & Tillé 2006,
Computational Statistics 21(1)) takes it from the first p + 1 undecided units only, where p is the
number of variables. Here this is done in blocks of neighbouring units, as in the local cube method
(Grafström & Tillé 2013, Environmetrics 24(2)). Each block leaves at most p units undecided. These
form new blocks with their neighbours, until one block is left. The landing phase drops the last
variable, and walks on, until all units are decided.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

#: The number of units in the first blocks. It doubles when a pass decides less than half of them.
BLOCK = 64
#: The tableaux of the blocks that are computed at once have at most this many entries. They should
#: stay in the cache of the processor, and there should be enough of them to pay for the calls.
AT_ONCE = 2**20
#: A unit with a smaller entry than this depends linearly on the others, up to rounding.
SMALLEST = 1e-7


def cube(
    probabilities: NDArray[np.float64],
    variables: NDArray[np.float32],
    order: NDArray[np.int64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw a balanced sample of fixed size with the cube method.

    Up to the rounding of the last units, the sums of the variables z over the sample are their
    expectations: ``sum_{i in s} z_i = sum_i q_i z_i``. In the notation of Deville & Tillé, z is
    x / pi. The size of the sample is the first variable, and is exact.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n,)
        The inclusion probabilities q, which add up to a whole number k.
    variables : ndarray of float32, shape (p, n)
        The balancing variables z, on a common scale of about 1. The landing phase gives up the
        last one first.
    order : ndarray of int64, shape (n,)
        The order of the units, in which similar units are neighbours.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (k,)
        The positions of the sample, in ascending order.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.sampling.cube import cube
    >>> in_town = np.array([[1, 0, 0, 0, 0, 0, 1, 0]], dtype=np.float32)
    >>> drawn = cube(np.full(8, 0.5), in_town, np.arange(8), np.random.default_rng(0))
    >>> len(drawn), int(in_town[0, drawn].sum())
    (4, 1)
    """
    q = probabilities.copy()
    left = order[_undecided(q[order])]
    size = BLOCK
    while len(left) > size:
        for units in _blocks(left, size, len(variables) + 1):
            q[units] = _walk(variables, units, q[units], generator)
        before, left = len(left), left[_undecided(q[left])]
        if len(left) > before / 2:
            size *= 2
    if len(left):
        q[left] = _walk(variables, left[None], q[left][None], generator, land=True)[0]
    # The size is a whole number up to rounding, and so is the last coordinate.
    return np.flatnonzero(q > 0.5)


def _undecided(q: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (q > 0) & (q < 1)


def _blocks(units: NDArray[np.int64], size: int, n_rows: int) -> Iterator[NDArray[np.int64]]:
    """Divide units into blocks of neighbours, and give as many at once as `AT_ONCE` allows.

    All blocks of one array, shape (b, m), have the same number of units, `size` or a little more.
    """
    width, n_wider = divmod(len(units), len(units) // size)
    wider = n_wider * (width + 1)
    for part in (units[:wider].reshape(-1, width + 1), units[wider:].reshape(-1, width)):
        at_once = max(1, AT_ONCE // (part.shape[1] * n_rows))
        for start in range(0, len(part), at_once):
            yield part[start : start + at_once]


def _walk(
    variables: NDArray[np.float32],
    units: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    generator: np.random.Generator,
    land: bool = False,
) -> NDArray[np.float64]:
    """Walk in all blocks at once, until the units left in each are linearly independent.

    The equations of a block are a tableau, as in the simplex method. Each equation has a basic unit
    with coordinate x, and the tableau writes all units as combinations of the basic units. The
    units enter one after the other. If the unit that enters rises by 1, the basic units must fall
    by its entries: this is the direction of the step. If a basic unit is decided first, the unit
    that enters takes its equation, by Gauss-Jordan elimination.

    An equation that has no unit yet must not change. A unit that enters then takes the equation of
    its largest entry, without a step.

    Parameters
    ----------
    variables : ndarray of float32, shape (p, n)
    units : ndarray of int64, shape (b, m)
        The undecided units of b blocks.
    probabilities : ndarray of float64, shape (b, m)
        Their coordinates.
    generator : numpy.random.Generator
    land : bool
        Whether to decide all units. The errors of the variables then enter too, from the last one
        to the first, like units without limits. The error of the size, always 0, does not enter.

    Returns
    -------
    ndarray of float64, shape (b, m)
        The new coordinates, exactly 0 or 1 for decided units.
    """
    tableau = _tableau(variables, units, land)
    n_blocks, n_columns, n_rows = tableau.shape
    n_units = units.shape[1]
    block = np.arange(n_blocks)
    # The last column belongs to the equations without a unit.
    q = np.zeros((n_blocks, n_columns + 1))
    q[:, :n_units] = probabilities
    basic = np.full((n_blocks, n_rows), n_columns)
    x, low, high = np.zeros((3, n_blocks, n_rows))
    for column in range(n_columns):
        floor, ceiling = (0.0, 1.0) if column < n_units else (-np.inf, np.inf)
        fall, own = tableau[:, column].copy(), q[:, column].copy()
        up, up_row, down, down_row = _lengths(fall, x, low, high)
        # A negative length is that of an equation without a unit.
        rise = np.minimum(np.maximum(up, 0), ceiling - own)
        drop = np.minimum(np.maximum(down, 0), own - floor)
        rises = generator.random(n_blocks) * (rise + drop) < drop  # the step has expectation 0
        step = np.where(rises, rise, -drop)
        step[np.isinf(step)] = 0.0  # the error of an equation that moves no unit
        x -= step[:, None] * fall
        q[:, column] = rises  # if the unit itself is decided
        enters = np.where(rises, up < ceiling - own, down < own - floor)
        row = np.where(rises, up_row, down_row)

        at, of = block[enters], row[enters]
        pivot = fall[at, of]
        q[at, basic[at, of]] = (pivot < 0) == rises[at]  # the unit that leaves
        basic[at, of], x[at, of] = column, (own + step)[at]
        low[at, of], high[at, of] = floor, ceiling
        factors = np.zeros_like(fall)
        factors[at] = fall[at] / pivot[:, None]
        factors[at, of] = 1 - 1 / pivot
        later = slice(column + 1, None)
        _subtract_products(tableau[:, later], tableau[block, later, row], factors)
    np.put_along_axis(q, basic, np.clip(x, 0, 1), axis=1)
    return q[:, :n_units]


def _tableau(
    variables: NDArray[np.float32], units: NDArray[np.int64], land: bool
) -> NDArray[np.float64]:
    """Write the variables of all units of the blocks, and the errors if they enter too.

    The first row is the size of the sample. A variable that is constant in a block is a multiple of
    the size, and needs no equation. Neighbours have many such variables.

    Returns
    -------
    ndarray of float64, shape (b, m, rows), or (b, m + rows - 1, rows) with errors
    """
    values = variables[:, units].astype(np.float64)
    values -= values[:, :, :1]
    varies = values.any(axis=2)
    n_varying = varies.sum(axis=0).max(initial=0)
    varying = np.argsort(~varies, axis=0, kind="stable")[:n_varying]
    n_blocks, n_units = units.shape
    tableau = np.zeros((n_blocks, n_units + land * n_varying, 1 + n_varying))
    tableau[:, :n_units, 0] = 1
    tableau[:, :n_units, 1:] = np.take_along_axis(values, varying[:, :, None], 0).transpose(1, 2, 0)
    if land:
        tableau[:, n_units:] = np.eye(1 + n_varying)[:0:-1]
    return tableau


def _lengths(
    fall: NDArray[np.float64],
    x: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Compute how far a step can go up and down, and in which equation it ends, for each block.

    The length is infinite if no basic unit moves. It is negative if an equation without a unit
    would change. The equation with the largest entry then has the smallest length.
    """
    size = np.abs(fall)
    fixed = size <= SMALLEST
    size[fixed] = 1.0
    falls, locked = fall > 0, low == high
    below, above = x - low, high - x
    ends = []
    for length in (np.where(falls, below, above), np.where(falls, above, below)):
        length /= size
        np.copyto(length, -size, where=locked)
        length[fixed] = np.inf
        row = length.argmin(axis=1)
        ends += [np.take_along_axis(length, row[:, None], axis=1)[:, 0], row]
    up, up_row, down, down_row = ends
    return up, up_row, down, down_row


def _subtract_products(
    tableau: NDArray[np.float64], entries: NDArray[np.float64], factors: NDArray[np.float64]
) -> None:
    """Subtract ``entries[b, m] factors[b, r]`` from ``tableau[b, m, r]``, in place.

    torch does this in one pass over the memory, and is two to three times as fast as numpy.
    """
    torch.from_numpy(tableau).addcmul_(
        torch.from_numpy(entries)[:, :, None], torch.from_numpy(factors)[:, None, :], value=-1
    )
