"""The different columns of blocks, which each rank finds for some blocks and gives to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from l0.calibration.fitting.different_columns import Columns
from l0.common.ranks import Ranks


def gathered(own: Sequence[Columns], dtype: DTypeLike, ranks: Ranks) -> Sequence[Columns]:
    """Give all ranks the columns of the blocks of each, in the order of the ranks.

    Parameters
    ----------
    own : sequence of Columns
        Of the blocks of this rank, of which there may be none. Some rank has one.
    dtype : dtype
        Of the values.
    ranks : Ranks
    """
    if ranks.size == 1:
        return own

    def of_all(arrays: Sequence[NDArray[Any]], dtype: DTypeLike) -> list[NDArray[Any]]:
        """Give an array of each block to all."""
        lengths = ranks.gathered(np.array([len(array) for array in arrays], dtype=np.int64))
        whole = ranks.gathered(np.concatenate([np.empty(0, dtype), *arrays]))
        return np.split(whole, np.cumsum(lengths)[:-1])

    values = [each.values for each in own]
    shapes = of_all([np.array(each.shape) for each in values], np.int64)
    data = of_all([each.data for each in values], dtype)
    indices = of_all([each.indices for each in values], np.int32)
    indptr = of_all([each.indptr for each in values], np.int32)
    kinds = of_all([_numbers(each.kinds) for each in own], np.int64)
    records = of_all([each.records for each in own], np.int64)
    targets = of_all([each.targets for each in own], np.int64)
    copies = of_all([each.copies for each in own], np.int64)
    return [
        Columns(
            records[block],
            sp.csr_array((data[block], indices[block], indptr[block]), shape=tuple(shape)),
            _slices(kinds[block]),
            targets[block],
            copies[block],
        )
        for block, shape in enumerate(shapes)
    ]


def _numbers(kinds: Sequence[tuple[slice, slice]]) -> NDArray[np.int64]:
    """Write the ends of the slices, shape (4 n,)."""
    ends = [end for pair in kinds for each in pair for end in (each.start, each.stop)]
    return np.array(ends, dtype=np.int64)


def _slices(ends: NDArray[np.int64]) -> list[tuple[slice, slice]]:
    """Read slices from their ends."""
    return [(slice(a, b), slice(c, d)) for a, b, c, d in ends.reshape(-1, 4).tolist()]
