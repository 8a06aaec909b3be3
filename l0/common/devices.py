"""The device that a fit runs on."""

from __future__ import annotations

import torch

from l0.common.errors import InputError


def checked_device(device: str | torch.device | None) -> torch.device:
    """Take a device that can be used here; None is CUDA where there is one."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`device` {device!r} cannot be used here ({reason}); try 'cpu'") from None
    return wanted
