"""Orders that put like records side by side, so that a systematic sample spreads over all kinds.

A systematic sample takes one record from every stretch of the order that holds one expected
draw: sorting is stratifying ("implicit stratification", Tillé 2020, Sampling and Estimation from
Finite Populations, section 3.7).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.column_types import ColumnTypes, Labels
from l0.calibration.inputs.survey import Survey
from l0.data.columns import known_numbers

#: An amount counts in full from this quantile of its non-zero values on.
LARGE = 0.95
#: A group is not cut once fewer draws than this are expected from it.
LEAF_DRAWS = 1.0
#: How many levels of a column get an indicator, the most frequent ones.
INDICATORS = 50
#: How many features the records are cut by, those of the largest variance: a file of hundreds of
#: columns must fit in memory, and the others would hardly ever be chosen.
FEATURES = 64
#: How many of a record's narrowest targets a bare matrix is sorted by.
NARROWEST = 3


@dataclass(frozen=True)
class SurveyStratification:
    """Order records by a tree over all their columns.

    The labels with the most levels (a geography, as a rule) divide the records first. Then each
    group is cut in two at the mean of the feature that varies most in it, until one draw is
    expected from a group. Features are the amounts, as shares of a large amount, and an
    indicator for every level of the other labels (the most frequent `INDICATORS` of each); the
    `FEATURES` that vary most among the expected draws are used.

    Parameters
    ----------
    survey : Survey
    column_types : ColumnTypes
    """

    survey: Survey
    column_types: ColumnTypes

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the records for a draw with these inclusion probabilities."""
        n = len(probabilities)
        labels = sorted(self.column_types.labels, key=lambda column: -len(column.levels))
        features = _most_variable(self._features(labels[1:]), probabilities)
        group = labels[0].codes if labels else np.zeros(n, dtype=np.int64)
        group = _grow(group, features, probabilities)
        if not self.column_types.amounts:
            return np.argsort(group, kind="stable")
        # Within a leaf by an amount: it tells apart records that share all their indicators.
        return np.lexsort((self._amount(self.column_types.amounts[-1]), group))

    def _features(self, labels: list[Labels]) -> Iterator[NDArray[np.float32]]:
        for name in self.column_types.amounts:
            yield self._amount(name)
        for column in labels:
            # A column of many levels must not outweigh the amounts: its indicators shrink.
            size = np.float32(np.sqrt(2 / len(column.levels)))
            frequent = np.argsort(-np.bincount(column.codes), kind="stable")[:INDICATORS]
            for level in np.sort(frequent):
                yield (column.codes == level) * size

    def _amount(self, name: str) -> NDArray[np.float32]:
        """Take an amount as a share of a large one."""
        size = np.abs(known_numbers(self.survey.records.table.column(name)))
        large = np.quantile(size[size > 0], LARGE) if size.any() else 1.0
        return np.minimum(size / large, 1.0).astype(np.float32)


@dataclass(frozen=True)
class FeatureStratification:
    """Order rows by the same tree over features that are numbers already.

    Of many features the `FEATURES` that vary most among the expected draws are used. Rows of one
    leaf stand by the first feature.

    Parameters
    ----------
    features : ndarray of float32, shape (p, n)
        On one scale: the tree cuts where the variance is largest.
    """

    features: NDArray[np.float32]

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the rows for a draw with these inclusion probabilities."""
        features = _most_variable(self.features, probabilities)
        group = _grow(np.zeros(len(probabilities), dtype=np.int64), features, probabilities)
        return np.lexsort((*self.features[:1], group))


@dataclass(frozen=True)
class SharedTargetsStratification:
    """Order the records of a bare matrix by their narrowest targets, the only thing known of them.

    Records in the same small cells (a district, an age band) then stand together.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    """

    matrix: sp.csr_array

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the records; the probabilities do not matter here."""
        return self._order

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        m, n = self.matrix.shape
        by_width = np.argsort(np.diff(self.matrix.indptr), kind="stable")
        pattern = sp.csr_array(
            (np.ones(self.matrix.nnz, np.int8), self.matrix.indices, self.matrix.indptr),
            shape=(m, n),
        )
        # With the rows in order of width, each column lists its narrowest targets first.
        columns = pattern[by_width].tocsc()
        starts, counts = columns.indptr[:-1], np.diff(columns.indptr)
        narrowest = np.full((NARROWEST, n), m, dtype=np.int64)
        for place in range(NARROWEST):
            there = counts > place
            narrowest[place, there] = by_width[columns.indices[starts[there] + place]]
        return np.lexsort(narrowest[::-1])


def _most_variable(
    features: Iterable[NDArray[np.float32]], weight: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """Take the `FEATURES` that vary most, in their order; no more are held at a time."""
    widest = heapq.nlargest(
        FEATURES, enumerate(features), key=lambda placed: _variance(placed[1], weight)
    )
    return [feature for _, feature in sorted(widest, key=lambda placed: placed[0])]


def _variance(feature: NDArray[np.float32], weight: NDArray[np.float64]) -> float:
    draws = max(float(weight.sum()), np.finfo(float).tiny)  # nobody may be there to be drawn
    return float(weight @ feature**2 / draws - (weight @ feature / draws) ** 2)


def _grow(
    group: NDArray[np.int64], features: list[NDArray[np.float32]], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Cut groups until none can be cut; number them so that those cut last stand side by side."""
    n_groups = 0
    while len(levels := np.unique(group)) > n_groups:
        n_groups = len(levels)
        group = _cut(np.searchsorted(levels, group), n_groups, features, weight)
    return group


def _cut(
    group: NDArray[np.int64],
    n_groups: int,
    features: list[NDArray[np.float32]],
    weight: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Cut every group that expects more than a draw at the mean of its most variable feature."""
    # A group may hold nobody who can be drawn.
    draws = np.maximum(np.bincount(group, weight, n_groups), np.finfo(float).tiny)
    widest = np.zeros(n_groups)
    chosen = np.full(n_groups, -1)
    threshold = np.zeros(n_groups)
    for place, feature in enumerate(features):
        mean = np.bincount(group, weight * feature, n_groups) / draws
        variance = np.bincount(group, weight * feature**2, n_groups) / draws - mean**2
        wider = (variance > widest) & (draws > LEAF_DRAWS)
        widest[wider], chosen[wider], threshold[wider] = variance[wider], place, mean[wider]
    right = np.zeros(len(group), dtype=bool)
    for place in np.unique(chosen[chosen >= 0]):
        mine = chosen[group] == place
        right[mine] = features[place][mine] > threshold[group[mine]]
    return 2 * group + right
