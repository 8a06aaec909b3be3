"""Ranks that are processes of `torch.distributed`, on one machine or on several."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from l0.common.errors import InputError
from l0.common.ranks import ONE, RankLost, Ranks

Given = TypeVar("Given")

#: After a loss, the ranks that are left say so, and wait so many seconds for each other.
ROLL_CALL = 1.0
#: Names in the store that the processes share: of a run, which has a number, and a rank.
_LEFT, _ENDED = "l0/{}/left/{}", "l0/{}/ended/{}"
#: The number of the words that no run leaves, but a command.
COMMAND = 0
_runs = itertools.count(COMMAND + 1)
#: What `of_first` sends before the content: it was computed, or which error there was.
_FINE = b"."
_ERRORS: dict[bytes, type[Exception]] = {b"I": InputError, b"O": OSError}


@contextmanager
def torch_ranks(wanted: bool) -> Iterator[Ranks]:
    """Give the ranks of the process group of this process, or a single one if they are not wanted.

    A rank that leaves the block with an error tells the others, which then raise `RankLost`.

    Raises
    ------
    InputError
        If they are wanted, and there is no process group.
    """
    if not wanted:
        yield ONE
        return
    if not (dist.is_available() and dist.is_initialized()):
        raise InputError(
            "`distributed=True` needs a process group; start the script with torchrun, and call "
            "torch.distributed.init_process_group('gloo') first"
        )
    if dist.get_world_size() == 1:
        yield ONE
        return
    ranks = TorchRanks()
    try:
        yield ranks
        ranks.wait()
    except RankLost:
        raise
    except BaseException as error:
        leave_word(error, ranks.run)
        raise
    finally:
        ranks.close()


def leave_word(error: BaseException, run: int = COMMAND) -> str:
    """Leave word for the other ranks why this one ends, and give the word."""
    said = " ".join(str(error).split()) or type(error).__name__
    with suppress(Exception):
        _store().set(_ENDED.format(run, dist.get_rank()), said)
    return said


def word_of(rank: int) -> str:
    """Give the word that a rank has left of its command, or leaves soon; else the empty string."""
    until = time.monotonic() + ROLL_CALL
    with suppress(RuntimeError):  # also that of a signal, which ends the wait
        while not _word(_store(), COMMAND, rank) and time.monotonic() < until:
            time.sleep(0.05)
    with suppress(RuntimeError):
        return _word(_store(), COMMAND, rank)
    return ""


def _word(store: Any, run: int, rank: int) -> str:
    name = _ENDED.format(run, rank)
    return store.get(name).decode() if store.check([name]) else ""


def _store() -> Any:
    """The store that the processes of the default group share."""
    return dist.distributed_c10d._get_default_store()


class TorchRanks(Ranks):
    """The processes of the default group, with connections of their own (gloo).

    Attributes
    ----------
    run : int
        The number of the run, the same on all ranks.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # A rank that ends closes its connections, so that the others learn of it at once.
        self._group = dist.new_group(backend="gloo")
        self._store = _store()
        # All ranks make the same calls, so that they count alike.
        self.run = next(_runs)

    def joined(self, part: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `Ranks.joined`."""
        # Parts of any lengths go straight to their places, in half the time of a gather.
        whole = part.new_empty(sum(lengths))
        places = whole.split(list(lengths))
        places[self.rank].copy_(part)
        self._called(lambda: self._broadcast(places))
        return whole

    def joined_array(self, part: NDArray[Any], lengths: Sequence[int]) -> NDArray[Any]:
        """See `Ranks.joined_array`."""
        return self.joined(torch.from_numpy(part), lengths).numpy()

    def of_first(self, compute: Callable[[], bytes]) -> bytes:
        """See `Ranks.of_first`."""
        failed, content = None, b""
        if self.is_first:
            try:
                content = _FINE + compute()
            except (InputError, OSError) as error:
                failed = error
                kind = b"I" if isinstance(error, InputError) else b"O"
                content = kind + str(error).encode()
        length = self._of_first(np.array([len(content)]))[0]
        sent = np.zeros(length, dtype=np.uint8)
        if self.is_first:
            sent[:] = np.frombuffer(content, dtype=np.uint8)
        content = self._of_first(sent).tobytes()
        if failed is not None:
            raise failed
        if content[:1] != _FINE:
            raise _ERRORS[content[:1]](content[1:].decode())
        return content[1:]

    def of_all(self, text: str) -> list[str]:
        """See `Ranks.of_all`."""
        own = np.frombuffer(text.encode(), dtype=np.uint8).copy()
        ends = np.cumsum(self.gathered(np.array([len(own)])))
        return [each.tobytes().decode() for each in np.split(self.gathered(own), ends[:-1])]

    def wait(self) -> None:
        """Wait for all ranks."""
        self._called(lambda: dist.barrier(group=self._group))

    def close(self) -> None:
        """Close the connections of these ranks."""
        with suppress(Exception):
            dist.destroy_process_group(self._group)

    def _has_left(self, rank: int) -> bool:
        """Tell whether a rank goes on, but without this run."""
        return bool(self._store.check([_LEFT.format(self.run, rank)]))

    def _broadcast(self, parts: Sequence[Tensor]) -> None:
        """Fill each part from its rank.

        One after the other: if a rank is lost, no other broadcast is under way, which would keep
        the connections open, so that the ranks that are left would wait for each other.
        """
        for rank, part in enumerate(parts):
            dist.broadcast(part, src=rank, group=self._group)

    def _of_first(self, content: NDArray[Any]) -> NDArray[Any]:
        self._called(lambda: dist.broadcast(torch.from_numpy(content), src=0, group=self._group))
        return content

    def _called(self, collective: Callable[[], Given]) -> Given:
        try:
            return collective()
        except RankLost:  # of a signal
            raise
        except RuntimeError as error:
            raise RankLost(self._who_is_lost(error)) from error

    def _who_is_lost(self, error: Exception) -> str:
        """Say which ranks have ended, and why if they left word."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        # The text of gloo has a place in its source, then what happened, and then advice.
        cause = str(error).partition("] ")[2].partition(". ")[0] or str(error)
        try:
            self._store.set(_LEFT.format(self.run, self.rank), "")
            ended = others
            until = time.monotonic() + ROLL_CALL
            with suppress(RankLost):  # a signal ends the wait
                while len(ended) > 1 and time.monotonic() < until:
                    time.sleep(0.05)
                    ended = [rank for rank in others if not self._has_left(rank)]
            told = {rank: word for rank in ended if (word := _word(self._store, self.run, rank))}
        except RankLost:
            raise
        except RuntimeError:  # the process with the store is gone
            return f"rank {self.rank} has lost the others, rank 0 among them ({cause})"
        if told:
            whose = "; ".join(f"rank {rank}: {said}" for rank, said in told.items())
            return f"another rank has ended with an error ({whose})"
        if not ended:
            return f"rank {self.rank} has lost the contact to the other ranks ({cause})"
        # A rank that still computes has not left yet: of several, some may be alive.
        who = ", ".join(map(str, ended))
        which = f"rank {who}" if len(ended) == 1 else f"one or more of the ranks {who}"
        return f"{which} has ended without a word, as a process does that is killed ({cause})"
