"""Five million records by 30,000 targets: larger than any published surface.

Records live in areas nested in states. An area, a state and the nation each ask for totals, and a
record is in some of them: up to `ENTRIES` at each level, each kept with the chance `KEPT`, which
makes about 30 entries a record. Even targets count records, odd ones add up a skewed amount. The
totals are those of a "true" weighting that differs from the design weights by state and by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: Of a record: targets of its area, of its state and of the nation.
ENTRIES = (8, 16, 16)
KEPT = 0.75
#: Records that are drawn at a time, which bounds the memory.
CHUNK = 250_000


@dataclass(frozen=True)
class Shape:
    """How many records there are, how many areas and states, and how many targets each has."""

    records: int = 5_000_000
    areas: int = 2_000
    states: int = 50
    per_area: int = 12
    per_state: int = 100
    national: int = 1_000

    @property
    def targets(self) -> int:
        """Number of targets of all levels."""
        return self.areas * self.per_area + self.states * self.per_state + self.national


def make(
    shape: Shape, seed: int = 0
) -> tuple[sp.csr_array, NDArray[np.float64], NDArray[np.float64]]:
    """Draw a matrix of targets by records, the totals, and the design weights."""
    generator = np.random.default_rng(seed)
    factors = np.exp(generator.normal(0, 0.1, shape.states))
    area = np.sort(generator.integers(shape.areas, size=shape.records))
    state = area * shape.states // shape.areas
    chunks = [
        _chunk(generator, shape, area[first : first + CHUNK], state[first : first + CHUNK])
        for first in range(0, shape.records, CHUNK)
    ]
    # Records in the rows while it is drawn: every chunk is then a stretch of the CSR arrays.
    by_record = sp.csr_array(sp.vstack(chunks, format="csr"))
    matrix = sp.csr_array(by_record.T)
    weights = 60 * generator.lognormal(sigma=0.5, size=shape.records)
    chance = np.exp(generator.normal(0, 0.3, shape.records))
    return matrix, matrix @ (weights * factors[state] * chance), weights


def _chunk(
    generator: np.random.Generator,
    shape: Shape,
    area: NDArray[np.int64],
    state: NDArray[np.int64],
) -> sp.csr_array:
    n = len(area)
    states_from = shape.areas * shape.per_area
    nation_from = states_from + shape.states * shape.per_state
    levels = (
        (area * shape.per_area, shape.per_area),
        (states_from + state * shape.per_state, shape.per_state),
        (np.full(n, nation_from), shape.national),
    )
    columns = np.concatenate(
        [
            start[:, None] + _some(generator, n, size, count)
            for (start, size), count in zip(levels, ENTRIES, strict=True)
        ],
        axis=1,
    ).astype(np.int32)
    amounts = np.exp(generator.standard_normal(columns.shape, dtype=np.float32))
    amounts[columns % 2 == 0] = 1.0
    kept = generator.random(columns.shape, dtype=np.float32) < KEPT
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return sp.csr_array((amounts[kept], columns[kept], indptr), shape=(n, shape.targets))


def _some(generator: np.random.Generator, n: int, size: int, count: int) -> NDArray[np.int64]:
    """Draw `count` distinct ones of `size` targets for each of n records: every so many of them."""
    step = generator.integers(1, max(1, size // count) + 1, size=(n, 1))
    start = generator.integers(size, size=(n, 1))
    return np.sort((start + step * np.arange(count)) % size, axis=1)
