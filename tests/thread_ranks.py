"""Ranks that are threads of one process, for tests that need no other processes."""

import threading

import torch

from l0.common.ranks import Ranks

#: A rank that waits longer than this many seconds has lost the others.
PATIENCE = 60


class ThreadRanks(Ranks):
    """One of several threads. All threads pass their parts through one list."""

    def __init__(self, rank, parts, barrier):
        self.rank, self.size = rank, len(parts)
        self._parts, self._barrier = parts, barrier

    def shares(self, n_entries, n_numbers):
        return True

    def joined(self, part, lengths):
        assert len(part) == lengths[self.rank]
        return torch.cat(self._exchanged(part))

    def joined_array(self, part, lengths):
        return self.joined(torch.from_numpy(part), lengths).numpy()

    def of_first(self, compute):
        return self._exchanged(compute() if self.is_first else b"")[0]

    def of_all(self, text):
        return self._exchanged(text)

    def _exchanged(self, part):
        self._parts[self.rank] = part
        self._barrier.wait(PATIENCE)
        found = list(self._parts)
        self._barrier.wait(PATIENCE)
        return found


def on_ranks(size, function):
    """Call a function with each rank in a thread of its own, and list what the ranks give.

    An error is given in the place of a result.
    """
    parts, barrier = [None] * size, threading.Barrier(size)
    found = [None] * size

    def run(rank):
        try:
            found[rank] = function(ThreadRanks(rank, parts, barrier))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
