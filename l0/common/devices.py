"""The device of a fit."""

from __future__ import annotations

import torch

from l0.common.errors import InputError


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
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`device` {device!r} cannot be used here ({reason}); try 'cpu'") from None
    return wanted
