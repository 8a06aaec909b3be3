"""Orders in which similar records are neighbours, and features on which a sample is balanced.

A systematic sample takes one record from each interval of the order in which one draw is expected.
A sorted order therefore stratifies the sample ("implicit stratification", Tillé 2020, Sampling and
Estimation from Finite Populations, section 3.7). The cube method balances a sample on
features of the records.

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
#: A sample is balanced on the features of largest variance, at most this many.
BALANCED = 100
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
        labels = self._labels()
        features = _in_order(_most_variable(self._features(labels[1:]), probabilities, FEATURES))
        group = labels[0].codes if labels else np.zeros(n, dtype=np.int64)
        group = _grow(group, features, probabilities)
        if not self.column_types.amounts:
            return np.argsort(group, kind="stable")
        # Within a leaf, an amount orders the records that have the same indicators.
        return np.lexsort((self._amount(self.column_types.amounts[-1]), group))

    def features(self, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
        """List the features of the tree, and the indicators of the column that divides first.

        There are at most `BALANCED` of them.
        """
        return _stacked(
            _most_variable(self._features(self._labels()), probabilities, BALANCED),
            len(probabilities),
        )

    def _labels(self) -> list[Labels]:
        """Sort the label columns by their number of levels, the largest first."""
        return sorted(self.column_types.labels, key=lambda column: -len(column.levels))

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
    given : ndarray of float32, shape (p, n)
        The features, on a common scale, because the tree compares their variances.
    """

    given: NDArray[np.float32]

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the rows for a draw with these inclusion probabilities."""
        features = _in_order(_most_variable(self.given, probabilities, FEATURES))
        group = _grow(np.zeros(len(probabilities), dtype=np.int64), features, probabilities)
        return np.lexsort((*self.given[:1], group))

    def features(self, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
        """List the given features of largest variance, at most `BALANCED`."""
        return _stacked(_most_variable(self.given, probabilities, BALANCED), len(probabilities))


@dataclass(frozen=True)
class SharedTargetsStratification:
    """Order the records of a matrix by their narrowest targets, and balance the widest ones.

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

    def features(self, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
        """List the entries of the widest targets, at most `BALANCED`, as shares of the largest.

        A sample cannot be balanced on a target with fewer records than it takes a draw to get one.
        """
        widest = np.argsort(-np.diff(self.matrix.indptr), kind="stable")[:BALANCED]
        entries = self.matrix[widest]
        largest = abs(entries).max(axis=1).toarray().ravel()
        # Entries that float32 cannot hold are made shares before they are made float32.
        entries.data /= np.repeat(np.where(largest > 0, largest, 1), np.diff(entries.indptr))
        shares: NDArray[np.float32] = entries.astype(np.float32).toarray()
        return shares

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        m, n = self.matrix.shape
        indptr, indices = self.matrix.indptr, self.matrix.indices
        narrowest = np.full((NARROWEST, n), m, dtype=np.int64)
        n_found = np.zeros(n, dtype=np.int8)
        for target in np.argsort(np.diff(indptr), kind="stable").tolist():
            records = indices[indptr[target] : indptr[target + 1]]
            records = records[n_found[records] < NARROWEST]
            narrowest[n_found[records], records] = target
            n_found[records] += 1
        return np.lexsort(narrowest[::-1])


def _most_variable(
    features: Iterable[NDArray[np.float32]], weight: NDArray[np.float64], n_features: int
) -> list[tuple[int, NDArray[np.float32]]]:
    """Take the features of largest variance, with their places, the most variable one first.

    At any time, no more features than these are in memory.
    """
    return heapq.nlargest(
        n_features, enumerate(features), key=lambda placed: _variance(placed[1], weight)
    )


def _in_order(placed: list[tuple[int, NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    return [feature for _, feature in sorted(placed, key=lambda each: each[0])]


def _stacked(placed: list[tuple[int, NDArray[np.float32]]], n: int) -> NDArray[np.float32]:
    stacked = np.empty((len(placed), n), dtype=np.float32)
    for row, (_, feature) in zip(stacked, placed, strict=True):
        row[:] = feature
    return stacked


def _variance(feature: NDArray[np.float32], weight: NDArray[np.float64]) -> float:
    draws = max(float(weight.sum()), np.finfo(float).tiny)  # all probabilities may be 0
    return float(weight @ feature**2 / draws - (weight @ feature / draws) ** 2)


def _grow(
    group: NDArray[np.int64], features: list[NDArray[np.float32]], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Cut groups until none can be cut. The two halves of a cut have adjacent numbers."""
    order = np.argsort(group, kind="stable")
    begins = np.diff(group[order], prepend=-1) > 0
    # The records of a group stand side by side in the order, and a cut puts its left half before
    # its right half. A group that was not cut is never looked at again.
    places = np.arange(len(order))
    while len(places):
        records = order[places]
        starts = np.flatnonzero(begins[places])
        sizes = np.diff(starts, append=len(places))
        right = _right_half(records, starts, sizes, features, weight)
        n_right = np.add.reduceat(right.astype(np.int64), starts)
        cut = (n_right > 0) & (n_right < sizes)
        inside = np.repeat(cut, sizes)
        places, records, right = places[inside], records[inside], right[inside]
        sizes, n_right = sizes[cut], n_right[cut]
        half = 2 * np.repeat(np.arange(len(sizes)), sizes) + right
        order[places] = records[np.argsort(half, kind="stable")]
        begins[places[np.cumsum(sizes) - n_right]] = True
    leaf = np.empty_like(group)
    leaf[order] = np.cumsum(begins)
    return leaf


def _right_half(
    records: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    features: list[NDArray[np.float32]],
    weight: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Find the records above the mean of the most variable feature of their group.

    There are none in a group with at most `LEAF_DRAWS` expected draws. The records of a group stand
    side by side from its start on.
    """
    draws_of = weight[records]
    draws = np.add.reduceat(draws_of, starts)
    many = draws > LEAF_DRAWS
    draws[~many] = 1.0  # all probabilities of a group may be 0
    widest = np.zeros(len(starts))
    chosen = np.full(len(starts), -1)
    threshold = np.zeros(len(starts))
    for place, feature in enumerate(features):
        value = feature[records]
        product = draws_of * value
        mean = np.add.reduceat(product, starts) / draws
        variance = np.add.reduceat(product * value, starts) / draws - mean**2
        wider = (variance > widest) & many
        widest[wider], chosen[wider], threshold[wider] = variance[wider], place, mean[wider]
    feature_of, threshold_of = np.repeat(chosen, sizes), np.repeat(threshold, sizes)
    right = np.zeros(len(records), dtype=bool)
    for place in np.flatnonzero(np.bincount(chosen[chosen >= 0])).tolist():
        mine = np.flatnonzero(feature_of == place)
        right[mine] = features[place][records[mine]] > threshold_of[mine]
    return right
