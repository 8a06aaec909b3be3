"""Nested dissection of the targets: a tree of blocks, so that each record is on one path of it.

Targets of nested areas meet in few records outside their own area: a district's targets share
records with each other, with their state's and with the nation's. In the tree, the nation's targets
are the root, and a block's children share no record. The normal matrix can then be formed and
factored block by block (George 1973, SIAM Journal on Numerical Analysis 10(2)).

Nothing says which targets are of which level. Those that share records with the most others are
tried as the root, in growing numbers, until the parts that the other targets fall into cost no less
with more. Each part is split in the same way. A sample of the records is enough for this. Then a
target that shares a record with a block beside its own is lifted to a common ancestor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from l0.common.ranks import ONE, Ranks, lengths_of
from l0.common.sparse_rows import CACHED, row_blocks, rows_of
from l0.common.threads import in_shared_stretches

Ints = NDArray[np.int64]

#: The number of entries of the records in the sample that the tree is made from.
SAMPLE = 300_000
#: Of so many of these at a time, the products with all others are listed.
AT_A_TIME = 10_000
#: The smallest root to try has this share of the targets. Each next one is `GROWTH` times as large.
FIRST, GROWTH = 1 / 200, 1.4
#: The best of these is then made smaller by this factor, as long as that is better.
SHRINKAGE = 0.95
#: A split is taken if it costs at most this share of what the block costs whole.
WORTH = 0.7
#: A block with fewer multiplications is not split.
SMALL = 5e8


@dataclass(eq=False)
class Block:
    """Targets, and blocks of other targets that share no record with each other.

    Attributes
    ----------
    rows : ndarray of int64
        The positions of the targets.
    children : list of Block
    """

    rows: Ints
    children: list[Block] = field(default_factory=list)

    def in_order(self) -> list[Block]:
        """List all blocks, the children before their parent."""
        return [block for child in self.children for block in child.in_order()] + [self]


def dissect(matrix: sp.csr_array, records: sp.csr_array, ranks: Ranks = ONE) -> tuple[Block, float]:
    """Make the tree from a sample of the records.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, k)
    records : scipy.sparse.csr_array, shape (k, m)
        The transpose.
    ranks : Ranks
        The processes that share the work. All of them have the same matrix.

    Returns
    -------
    root : Block
        It has no children if no split is worth it.
    cost : float
        The multiplications of a normal matrix and its factor, by the sample. It does not know of
        targets that are lifted, nor of records that meet few targets of their block.
    """
    m, k = matrix.shape
    lengths = np.diff(matrix.indptr)
    size = min(k, max(1, k * SAMPLE // max(records.nnz, 1)))
    chosen = np.sort(np.random.default_rng(0).choice(k, size, replace=False))
    sample = records[chosen]
    # A target that is not in the sample would stand alone: one of its records joins.
    alone = (np.bincount(sample.indices, minlength=m) == 0) & (lengths > 0)
    more = np.unique(matrix.indices[matrix.indptr[:-1][alone]])
    sample = sp.vstack([sample, records[more]], format="csr")
    root, cost = _split(np.arange(m), sample, k / sample.shape[0], ranks)
    _lift(root, records, ranks.if_shared(records.nnz, k))
    return root, cost


def deepest(records: sp.csr_array, of_row: Ints, last: int, ranks: Ranks = ONE) -> Ints:
    """Find the block of each record: the deepest one of its targets.

    Parameters
    ----------
    records : scipy.sparse.csr_array, shape (k, m)
    of_row : ndarray of int64, shape (m,)
        The place of the block of each target in `Block.in_order`.
    last : int
        The block of records without an entry.
    ranks : Ranks

    Returns
    -------
    ndarray of int64, shape (k,)
    """
    lengths = np.diff(records.indptr)
    filled = lengths > 0
    holder = np.full(records.shape[0], last)

    def find(stretch: slice) -> None:
        for those, entries in row_blocks(records.indptr, CACHED, stretch):
            within = filled[those]
            starts = records.indptr[those][within] - entries.start
            blocks = of_row[records.indices[entries]]
            holder[those][within] = np.minimum.reduceat(blocks, starts)

    parts = in_shared_stretches(lengths, find, ranks)
    return ranks.joined_array(holder[parts[ranks.rank]], lengths_of(parts))


def places_of_rows(blocks: list[Block], m: int) -> Ints:
    """Look up the place of the block of each target, shape (m,)."""
    of_row = np.empty(m, dtype=np.int64)
    for number, block in enumerate(blocks):
        of_row[block.rows] = number
    return of_row


def _lift(root: Block, records: sp.csr_array, ranks: Ranks) -> None:
    """Move targets up until the targets of each record are on one path of the tree."""
    blocks = root.in_order()
    place = {id(block): number for number, block in enumerate(blocks)}
    ancestors = np.eye(len(blocks), dtype=bool)
    for number in range(len(blocks) - 1, -1, -1):
        for child in blocks[number].children:
            ancestors[place[id(child)]] |= ancestors[number]
    of_row = places_of_rows(blocks, records.shape[1])
    while (beside := _beside(records, of_row, ancestors, ranks)).size:
        rows, others = beside
        common = (ancestors[of_row[rows]] & ancestors[others]).argmax(axis=1)
        np.maximum.at(of_row, rows, common)
    for number, block in enumerate(blocks):
        block.rows = np.flatnonzero(of_row == number)
    for block in blocks:  # children before their parents: no grandchild is empty
        block.children = [
            part
            for child in block.children
            for part in ([child] if len(child.rows) else child.children)
        ]


def _beside(
    records: sp.csr_array, of_row: Ints, ancestors: NDArray[np.bool_], ranks: Ranks
) -> Ints:
    """Find pairs of a target and the block of one of its records that are not on one path."""
    n_blocks = len(ancestors)
    holder = deepest(records, of_row, n_blocks - 1, ranks)
    # The blocks below a block come right before it. A holder that comes before the first of them is
    # not among them: no table of pairs is looked up for each entry.
    first = ancestors.argmax(axis=0)[of_row]
    lengths = np.diff(records.indptr)
    found = [np.empty(0, np.int64)]

    def find(stretch: slice) -> None:
        for those, entries in row_blocks(records.indptr, CACHED, stretch):
            block = np.repeat(holder[those], lengths[those])
            row = records.indices[entries]
            off = first[row] > block
            found.append(_different(row[off].astype(np.int64) * n_blocks + block[off]))

    in_shared_stretches(lengths, find, ranks)
    pairs = _different(ranks.gathered(_different(np.concatenate(found))))
    return np.stack(np.divmod(pairs, n_blocks))


def _split(rows: Ints, sample: sp.csr_array, factor: float, ranks: Ranks) -> tuple[Block, float]:
    """Split some targets if it pays. The sample has the records with an entry in them."""
    one_part = np.zeros(len(rows), np.int64), np.zeros(sample.shape[0], np.int64)
    whole = _Entries(rows, sample, factor).cost(0, *one_part)
    if whole <= SMALL:
        return Block(rows), whole
    entries = _Entries(_ranked(rows, sample, ranks), sample, factor)
    best, taken = WORTH * whole, None
    tried = max(1, int(FIRST * len(rows)))
    while tried < len(rows) / 2:
        cost, labels = entries.split(tried)
        if cost < best:
            best, taken = cost, labels
        elif taken is not None:  # the smallest root that splits well: parts are split further
            break
        tried = max(tried + 1, int(GROWTH * tried))
    while taken is not None:  # a smaller root may split the others as well
        cost, fewer = entries.split(int(SHRINKAGE * taken[0]))
        if cost >= best:
            break
        best, taken = cost, fewer
    if taken is None:
        return Block(rows), whole
    root, of_row, of_record = taken
    children, total = [], entries.cost(root, of_row[:0], of_record[:0])
    for label in np.unique(of_row):
        inside = np.sort(entries.ranked[root:][of_row == label])
        child, cost = _split(inside, sample[of_record == label], factor, ranks)
        children.append(child)
        total += cost
    return Block(np.sort(entries.ranked[:root]), children), total


def _ranked(rows: Ints, sample: sp.csr_array, ranks: Ranks) -> Ints:
    """Order targets by the number of targets that they share a record with, the most first."""
    held = _pattern(sample[:, rows])
    holders = held.T.tocsr()
    n_products = holders @ np.diff(held.indptr)
    shared = np.empty(len(rows), dtype=np.int64)

    def count(stretch: slice) -> None:
        # By blocks of targets: the whole product may have a hundred times the entries of a sample.
        for block, _ in row_blocks(holders.indptr, AT_A_TIME, stretch):
            shared[block] = np.diff((rows_of(holders, block) @ held).indptr)

    ranks = ranks.if_shared(int(n_products.sum(dtype=np.int64)), len(rows))
    parts = in_shared_stretches(n_products, count, ranks)
    shared = ranks.joined_array(shared[parts[ranks.rank]], lengths_of(parts))
    return rows[np.argsort(-shared, kind="stable")]


def _pattern(matrix: sp.csr_array) -> sp.csr_array:
    """Write 1 in place of each entry: a product of patterns counts, and no sum is 0."""
    ones = np.ones(matrix.nnz, dtype=np.int32)
    return sp.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)


def _different(numbers: Ints) -> Ints:
    """Sort numbers, and keep each once: 40 times as fast as `numpy.unique`, which hashes."""
    ordered: Ints = np.sort(numbers)
    different: Ints = ordered[np.diff(ordered, prepend=-1) != 0]
    return different


class _Entries:
    """The entries of a sample of records in some targets, and in the ancestors of these."""

    def __init__(self, ranked: Ints, sample: sp.csr_array, factor: float) -> None:
        self.ranked, self._factor = ranked, factor
        self._sample = _pattern(sample)
        self._n, m = sample.shape
        place = np.full(m, -1, dtype=np.int64)  # -1: an ancestor
        place[ranked] = np.arange(len(ranked))
        self._record = np.repeat(np.arange(self._n), np.diff(sample.indptr))
        self._place = place[sample.indices]
        met = np.bincount(sample.indices, minlength=m) > 0
        met[ranked] = False
        self._ancestors = float(np.count_nonzero(met))

    def split(self, root: int) -> tuple[float, tuple[int, Ints, Ints]]:
        """Take the first targets as the root: the cost, the root, and the labels of the others."""
        labels = self.parts(root)
        return self.cost(root, *labels), (root, *labels)

    def parts(self, root: int) -> tuple[Ints, Ints]:
        """Label the targets after the first ones, and the records, by what they share."""
        left = len(self.ranked) - root
        inside = self._place >= root
        size = left + self._n
        # The graph has an edge from each record to each of its targets. The records come first.
        ends = np.concatenate([[0], np.cumsum(np.bincount(self._record[inside], minlength=size))])
        targets = self._place[inside] - root + self._n
        graph = sp.csr_array((np.ones(len(targets)), targets, ends), shape=(size, size))
        _, labels = connected_components(graph, directed=False)
        return labels[self._n :].astype(np.int64), labels[: self._n].astype(np.int64)

    def cost(self, root: int, of_row: Ints, of_record: Ints) -> float:
        """Count the multiplications for a root and labelled parts."""
        ancestors = self._ancestors
        total = root**3 / 3 + root**2 * ancestors + root * ancestors**2
        if not len(of_record):
            return total
        size = int(max(of_row.max(initial=0), of_record.max(initial=0))) + 1
        own = np.bincount(of_row, minlength=size).astype(float)
        held = np.bincount(of_record, minlength=size) * self._factor
        # The records of a part meet its own targets, and others above. The product lists both.
        records_of = sp.csr_array(
            (np.ones(self._n, np.int32), (of_record, np.arange(self._n))), shape=(size, self._n)
        )
        met = np.maximum(np.diff((records_of @ self._sample).indptr) - own, 0.0)
        products = held * (own + met) ** 2
        return total + float((products + own**3 / 3 + own**2 * met + own * met**2).sum())
