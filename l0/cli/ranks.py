"""Ranks that torchrun has started: the commands that they run, and which rank shows what."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import typer

from l0.common.errors import InputError
from l0.common.ranks import RankLost

#: The commands that several ranks can run.
COMMANDS = ("calibrate", "demo")
#: The exit status of a rank that ends because another one has ended.
LOST = 3
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def are_several() -> bool:
    """Tell whether torchrun has started this process as one of several."""
    return all(name in os.environ for name in _VARIABLES) and os.environ["WORLD_SIZE"] != "1"


def check_command(command: str | None) -> None:
    """Check that several ranks can run a command."""
    if command is not None and command not in COMMANDS and are_several():
        raise InputError(
            f"`l0 {command}` runs in one process; start it without torchrun (several ranks can run "
            f"`l0 {COMMANDS[0]}`)"
        )


@contextmanager
def process_group() -> Iterator[int]:
    """Connect the ranks, and give the number of this one. It is 0 for a single process.

    An error that rank 0 has too is shown by rank 0 only.
    """
    if not are_several():
        yield 0
        return
    import torch.distributed as dist

    from l0.common.torch_ranks import leave_word, word_of

    # torchrun stops the ranks that are left in this way.
    signal.signal(signal.SIGTERM, _stopped)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    try:
        yield rank
    except RankLost:
        raise
    except (InputError, OSError) as error:
        said = leave_word(error)
        if rank and said == word_of(0):
            raise typer.Exit(LOST) from None
        if rank:
            raise InputError(f"rank {rank}: {error}") from None
        raise
    finally:
        with suppress(Exception):
            dist.destroy_process_group()


def _stopped(*_: object) -> NoReturn:
    raise RankLost("stopped, as torchrun stops the ranks that are left after one has ended")
