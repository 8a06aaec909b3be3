"""Losses: what a scaled error costs, one function each; the fit takes their weighted mean."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from l0.errors import InputError, first_few

#: Under a cap of 1 a target that starts beyond it has no gradient and is never mended,
#: so fits use the wide cap; results are scored under the narrow one.
FIT_CAP = 10.0
SCORE_CAP = 1.0

Loss = Callable[[Tensor], Tensor]


def capped(error: Tensor) -> Tensor:
    """Absolute error up to a cap, ``min(|e|, 10)``: a robust loss that gives lost causes up.

    Parameters
    ----------
    error : Tensor, shape (m,)
        Errors as shares of the targets' scales.
    """
    return error.abs().clamp(max=FIT_CAP)


def relative(error: Tensor) -> Tensor:
    """Squared relative error, ``e^2``: the loss of l0-python.

    Parameters
    ----------
    error : Tensor, shape (m,)
        Errors as shares of the targets' scales.
    """
    return error.square()


LOSSES: dict[str, Loss] = {"capped": capped, "relative": relative}


def get_loss(name: str) -> Loss:
    """Look a loss up by name; an unknown one is an `InputError` that lists them."""
    if not isinstance(name, str) or name not in LOSSES:
        raise InputError(f"`loss` is {name!r}; it must be one of {first_few(LOSSES)}")
    return LOSSES[name]
