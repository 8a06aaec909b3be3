"""Orders in which similar records are neighbours, for systematic sampling.

A systematic sample takes one record from each interval of the order in which one draw is expected.
A sorted order therefore stratifies the sample ("implicit stratification", Tillé 2020, Sampling and
Estimation from Finite Populations, section 3.7).

The tree is ours. Like a k-d tree (Friedman, Bentley & Finkel 1977, ACM Transactions on Mathematical
Software 3(3)), it cuts each group along the feature with the largest spread. Here the spread is the
variance, weighted by the inclusion probabilities, and the cut is at the mean.
On the bundled CPS (hybrid, 5,545 records, medians of three seeds), the untargeted error is 22.3%
with the tree, 22.9% with the records sorted by their labels, and 25.2% in random order.
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

#: An amount of at least this quantile of the non-zero amounts becomes the feature value 1.
LARGE = 0.95
#: A group in which at most this many draws are expected is not cut.
LEAF_DRAWS = 1.0
#: The most frequent levels of a column become indicators, at most this many.
INDICATORS = 50
#: The tree uses the features of largest variance, at most this many. The features of a file with
#: hundreds of columns would not fit into memory, and the tree would hardly ever choose the others.
FEATURES = 64
#: The records of a matrix are sorted by this many of their narrowest targets.
NARROWEST = 3


@dataclass(frozen=True)
class SurveyStratification:
    """Order records by a tree over all their columns.

    The label column with the most levels, usually a geography, divides the records into groups.
    Then each group is cut in two at the mean of the feature with the largest variance in it, until
    one draw is expected in each group. The features are the amounts, as shares of a large amount,
    and indicators of the levels of the other label columns (the `INDICATORS` most frequent levels).
    Only the `FEATURES` features of largest variance are used.

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
        # Within a leaf, an amount orders the records that have the same indicators.
        return np.lexsort((self._amount(self.column_types.amounts[-1]), group))

    def _features(self, labels: list[Labels]) -> Iterator[NDArray[np.float32]]:
        for name in self.column_types.amounts:
            yield self._amount(name)
        for column in labels:
            # The indicators of a column with many levels are small, so that they do not dominate.
            size = np.float32(np.sqrt(2 / len(column.levels)))
            frequent = np.argsort(-np.bincount(column.codes), kind="stable")[:INDICATORS]
            for level in np.sort(frequent):
                yield (column.codes == level) * size

    def _amount(self, name: str) -> NDArray[np.float32]:
        """Take an amount as a share of a large amount."""
        size = np.abs(known_numbers(self.survey.records.table.column(name)))
        large = np.quantile(size[size > 0], LARGE) if size.any() else 1.0
        return np.minimum(size / large, 1.0).astype(np.float32)


@dataclass(frozen=True)
class FeatureStratification:
    """Order rows by the same tree over given features.

    Only the `FEATURES` features of largest variance are used. The rows of a leaf are sorted by the
    first feature.

    Parameters
    ----------
    features : ndarray of float32, shape (p, n)
        The features, on a common scale, because the tree compares their variances.
    """

    features: NDArray[np.float32]

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the rows for a draw with these inclusion probabilities."""
        features = _most_variable(self.features, probabilities)
        group = _grow(np.zeros(len(probabilities), dtype=np.int64), features, probabilities)
        return np.lexsort((*self.features[:1], group))


@dataclass(frozen=True)
class SharedTargetsStratification:
    """Order the records of a matrix by their narrowest targets.

    A narrow target has few records. Records in the same small cell, such as a district or an age
    band, become neighbours. Nothing else is known about the records of a matrix.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    """

    matrix: sp.csr_array

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the records. The probabilities do not matter here."""
        return self._order

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        m, n = self.matrix.shape
        by_width = np.argsort(np.diff(self.matrix.indptr), kind="stable")
        pattern = sp.csr_array(
            (np.ones(self.matrix.nnz, np.int8), self.matrix.indices, self.matrix.indptr),
            shape=(m, n),
        )
        # The rows are in order of width, so that each column lists its narrowest targets first.
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
    """Take the `FEATURES` features of largest variance, in their order.

    At any time, no more features than these are in memory.
    """
    widest = heapq.nlargest(
        FEATURES, enumerate(features), key=lambda placed: _variance(placed[1], weight)
    )
    return [feature for _, feature in sorted(widest, key=lambda placed: placed[0])]


def _variance(feature: NDArray[np.float32], weight: NDArray[np.float64]) -> float:
    draws = max(float(weight.sum()), np.finfo(float).tiny)  # all probabilities may be 0
    return float(weight @ feature**2 / draws - (weight @ feature / draws) ** 2)


def _grow(
    group: NDArray[np.int64], features: list[NDArray[np.float32]], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Cut groups until none can be cut. The two halves of the last cut have adjacent numbers."""
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
    """Cut each group with more than one expected draw at the mean of its most variable feature."""
    # All probabilities of a group may be 0.
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
