"""Ranks: processes that share the work of a fit.

All ranks make the same call and hold the same vectors. What a rank computes alone is a part of a
product or of a solution, and `Ranks.joined` gives all ranks the whole. Each number comes from one
rank, which computes it as a single process does. The result of any number of ranks is therefore
that of a single process to the last bit, also where a sum in another order would change which
records a search chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: A product is shared if its matrix has at least so many entries, and so many for each number that
#: the ranks send each other. Below, sending takes as long as computing.
LEAST_ENTRIES, LEAST_PER_NUMBER = 2_000_000, 10


class RankLost(RuntimeError):
    """Another rank has ended, so that this one cannot go on."""


class Ranks:
    """A single process, which shares its work with nobody.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        The number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which reads and writes checkpoints and results."""
        return self.rank == 0

    def shares(self, n_entries: int, n_numbers: int) -> bool:
        """Tell whether it pays to share products of a matrix with vectors of so many numbers."""
        return self.size > 1 and n_entries >= max(LEAST_ENTRIES, LEAST_PER_NUMBER * n_numbers)

    def if_shared(self, n_entries: int, n_numbers: int) -> Ranks:
        """Give these ranks if it pays to share (`shares`), or else a single process."""
        return self if self.shares(n_entries, n_numbers) else ONE

    def joined(self, part: Tensor, lengths: Sequence[int]) -> Tensor:
        """Join the parts of all ranks, in the order of the ranks.

        Parameters
        ----------
        part : Tensor, shape (l,)
            The part of this rank, on the CPU.
        lengths : sequence of int
            The lengths of the parts of all ranks.
        """
        return part

    def joined_array(self, part: NDArray[Any], lengths: Sequence[int]) -> NDArray[Any]:
        """Join arrays of the shapes (l,), as `joined` does."""
        return part

    def gathered(self, part: NDArray[Any]) -> NDArray[Any]:
        """Join arrays of the shapes (l,), whose lengths the other ranks do not know."""
        lengths = self.joined_array(np.array([len(part)]), [1] * self.size)
        return self.joined_array(part, lengths.tolist())

    def of_first(self, compute: Callable[[], bytes]) -> bytes:
        """Compute something on rank 0 and give it to all. An error of rank 0 is one of all."""
        return compute()

    def of_all(self, text: str) -> list[str]:
        """Give the texts of all ranks to all."""
        return [text]


#: The default.
ONE = Ranks()


def even_parts(sizes: NDArray[np.integer], n_parts: int) -> list[slice]:
    """Cut a list into so many stretches of about the same sum of sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.common.ranks import even_parts
    >>> even_parts(np.array([4, 1, 1, 2]), 2)
    [slice(0, 1, None), slice(1, 4, None)]
    """
    upto = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    goals = np.arange(1, n_parts) * upto[-1] / n_parts
    ends = [0, *np.searchsorted(upto, goals).tolist(), len(sizes)]
    return [slice(start, stop) for start, stop in zip(ends[:-1], ends[1:], strict=True)]


def lengths_of(parts: Sequence[slice]) -> list[int]:
    """Give the lengths of stretches."""
    return [part.stop - part.start for part in parts]
