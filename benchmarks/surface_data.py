"""Make a surface in the shape of the largest one.

``python surface_data.py FILE N SEED NOISE [DENSITY [TARGETS]]``

Records live in 436 districts nested in 51 states. Every district, every state and the nation ask
for totals of measures over everyone or over some kind of record. The totals are those of a "true"
weighting that differs from the design weights by area, by kind and by chance, so that all of them
can be met together and the design weights miss them. With noise, the totals contradict each other.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

N_STATES, N_DISTRICTS = 51, 436
#: Targets of one area at each level.
PER_DISTRICT, PER_STATE, NATIONAL = 56, 140, 400
#: A target is a measure over one of six domains: everyone, one of 2 types, one of 3 income bands.
N_MEASURES, N_DOMAINS = 80, 6

Measure = tuple[NDArray[np.int64], NDArray[np.float32]]


class Surface(NamedTuple):
    """A matrix of m targets by n records, the totals to hit, and the design weights."""

    matrix: sp.csr_array
    values: NDArray[np.float64]
    weights: NDArray[np.float64]


class Records(NamedTuple):
    """Where n records live, and what they are; int32 codes, shape (n,)."""

    district: NDArray[np.int32]
    state: NDArray[np.int32]
    type: NDArray[np.int32]
    band: NDArray[np.int32]


def make(
    n_records: int, seed: int, noise: float = 0.0, density: float = 1.0, targets: float = 1.0
) -> Surface:
    """Draw a surface.

    `noise` is the relative standard deviation of errors of the totals. With a `density` of 1, a
    record has 138 entries on average, and with a smaller one a part of them. `targets` is the share
    of the targets that each area asks for, at most 1; then there are fewer entries too.
    """
    generator = np.random.default_rng(seed)
    records = _records(generator, n_records)
    measures = [
        _measure(generator, records, density, amounts=bool(i % 2)) for i in range(N_MEASURES)
    ]
    everywhere = np.zeros(n_records, np.int32)
    levels = (
        (NATIONAL, everywhere), (PER_STATE, records.state), (PER_DISTRICT, records.district)
    )  # fmt: skip
    blocks = [
        _level(generator, records, measures, max(1, round(targets * n_each)), area)
        for n_each, area in levels
    ]
    matrix = sp.csr_array(sp.vstack(blocks, format="csr"))
    weights = 400 * generator.lognormal(sigma=0.5, size=n_records)
    values = matrix @ (weights * _factors(generator, records))
    values *= 1 + noise * generator.standard_normal(len(values))
    return Surface(matrix, values, weights)


def save(surface: Surface, file: str) -> None:
    """Write a surface to an ``.npz`` file."""
    matrix, values, weights = surface
    indices, indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    np.savez(file, data=matrix.data, indices=indices, indptr=indptr, values=values, weights=weights)


def load(file: str) -> Surface:
    """Read what `save` wrote."""
    with np.load(file) as parts:
        values, weights = parts["values"], parts["weights"]
        csr = parts["data"], parts["indices"], parts["indptr"]
    return Surface(sp.csr_array(csr, shape=(len(values), len(weights))), values, weights)


def _records(generator: np.random.Generator, n_records: int) -> Records:
    """Put records into districts of uneven size; give each a type and an income band."""
    size = generator.uniform(0.6, 1.4, N_DISTRICTS)
    # Every state has a district; the others fall to states at random.
    others = generator.integers(N_STATES, size=N_DISTRICTS - N_STATES)
    state_of = np.sort(np.concatenate([np.arange(N_STATES), others]))
    district = generator.choice(N_DISTRICTS, n_records, p=size / size.sum())
    kinds = (generator.choice(len(p), n_records, p=p) for p in ((0.6, 0.4), (0.4, 0.35, 0.25)))
    return Records(*(codes.astype(np.int32) for codes in (district, state_of[district], *kinds)))


def _measure(
    generator: np.random.Generator, records: Records, density: float, *, amounts: bool
) -> Measure:
    """Draw who has a measure, a tenth of the records or nearly all, and how much of it."""
    chance = density * generator.uniform(0.1, 0.84) * generator.uniform(0.6, 1.4, (2, 3))
    draws = generator.random(len(records.type))
    holders = np.flatnonzero(draws < chance[records.type, records.band])
    if not amounts:
        return holders, np.ones(len(holders), np.float32)
    typical = 2_000.0 * 4.0 ** records.band[holders]
    return holders, (typical * generator.lognormal(sigma=1.3, size=len(holders))).astype(np.float32)


def _level(
    generator: np.random.Generator,
    records: Records,
    measures: list[Measure],
    n_each: int,
    area: NDArray[np.int32],
) -> sp.csr_array:
    """Ask every area of a level for the same `n_each` pairs of a measure and a domain."""
    rows, columns, data = [], [], []
    pairs = generator.permutation(N_MEASURES * N_DOMAINS)[:n_each]
    for place, (measure, domain) in enumerate(zip(*divmod(pairs, N_DOMAINS), strict=True)):
        holders, amounts = measures[measure]
        if domain:
            kind = records.type + 1 if domain <= 2 else records.band + 3
            inside = kind[holders] == domain
            holders, amounts = holders[inside], amounts[inside]
        rows.append(area[holders] * np.int32(n_each) + np.int32(place))
        columns.append(holders.astype(np.int32))
        data.append(amounts)
    entries = np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_array(sp.coo_array(entries, shape=(n_each * (int(area.max()) + 1), len(area))))


def _factors(generator: np.random.Generator, records: Records) -> NDArray[np.float64]:
    """Draw true over design weights."""
    return np.exp(
        generator.normal(0, 0.10, N_STATES)[records.state]
        + generator.normal(0, 0.10, N_DISTRICTS)[records.district]
        + generator.normal(0, 0.15, (2, 3))[records.type, records.band]
        + generator.normal(0, 0.30, len(records.type))
    )


if __name__ == "__main__":
    file, n, random_seed, *others = sys.argv[1:]
    save(make(int(n), int(random_seed), *map(float, others)), file)
