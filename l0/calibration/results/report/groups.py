"""Sums and means by label, for the tables by group of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: The largest number of rows in a table by group.
MOST = 60


class Groups:
    """Sums and means of values by label."""

    def __init__(self, labels: pa.ChunkedArray) -> None:
        coded = labels.combine_chunks().dictionary_encode()
        self.names = coded.dictionary.to_pylist()
        self._codes = coded.indices.to_numpy()
        self._counts = np.bincount(self._codes).astype(np.float64)

    def sum(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sum up values by label."""
        return np.bincount(self._codes, values).astype(np.float64)

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Take the means of values by label."""
        return self.sum(values) / self._counts

    def rows(self, columns: dict[str, NDArray[np.float64]], by: str) -> list[dict[str, Any]]:
        """Give the first `MOST` rows in descending order of a column."""
        columns = {"count": self._counts, **columns}
        order = np.argsort(-columns[by], kind="stable")[:MOST]
        return [
            {"name": self.names[i], **{name: column[i].item() for name, column in columns.items()}}
            for i in order
        ]
