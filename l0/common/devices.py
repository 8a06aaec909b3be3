"""The device of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from l0.common.errors import InputError

_REMEDY = "pass device='cpu', or fewer records or targets"


def checked_device(device: str | torch.device | None) -> torch.device:
    """Check that a device can be used. None means CUDA if there is one, else the CPU.

    Raises
    ------
    InputError
        If the device is unknown or cannot be used here.

    Examples
    --------
    >>> from l0.common.devices import checked_device
    >>> checked_device("cpu")
    device(type='cpu')
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=torch.device(device)).device  # "cuda" is "cuda:0", perhaps
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`device` {device!r} cannot be used here ({reason}); try 'cpu'") from None


def check_room(device: torch.device, n_bytes: int) -> None:
    """Check that a GPU has room for an array. Other devices are not checked.

    Raises
    ------
    InputError
        If it has not.
    """
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for later is not free for others, and is for this array.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if n_bytes > free:
        raise InputError(
            f"`device`: {device} has {free / 1e9:.1f} GB of free memory, and a matrix of this "
            f"problem takes {n_bytes / 1e9:.1f}; {_REMEDY}"
        )


@contextmanager
def full_device_in_words(device: torch.device) -> Iterator[None]:
    """Make a context in which a device without memory is an `InputError`: a cut needs some too."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            f"`device`: {device} has no memory left for this problem "
            f"({str(error).partition('. ')[0]}); {_REMEDY}"
        ) from error
