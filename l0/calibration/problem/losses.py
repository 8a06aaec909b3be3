"""Losses: what a scaled error costs, one function each; the fit takes their weighted mean.

Below them stands the score: what a result's errors cost, whatever loss its fit had.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from l0.common.errors import InputError, first_few

#: Beyond a cap of 1 a target has next to no gradient and may never be mended, so fits use the wide
#: cap; results are scored under the narrow one.
FIT_CAP = 10.0
SCORE_CAP = 1.0

Loss = Callable[[Tensor], Tensor]


def capped(error: Tensor) -> Tensor:
    """Absolute error up to 10, its logarithm beyond: ``min(|e|, 10) + 10 log(max(|e|, 10) / 10)``.

    A robust loss: the further off a target is, the less it pulls, so that lost causes are given up.
    It never stops pulling, because what starts far off need not be lost: a small net total of large
    gains and losses may be 100 times its value away.

    Parameters
    ----------
    error : Tensor, shape (m,)
        Errors as shares of the targets' scales.
    """
    size = error.abs()
    return size.clamp(max=FIT_CAP) + FIT_CAP * (size.clamp(min=FIT_CAP) / FIT_CAP).log()


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


def capped_error(error: NDArray[np.floating]) -> NDArray[np.float64]:
    """Size of relative errors, each counted up to 100%: ``min(|e|, 1)``."""
    size: NDArray[np.float64] = np.abs(error, dtype=np.float64)
    return np.minimum(size, SCORE_CAP)


def score(error: NDArray[np.floating], importance: NDArray[np.float64]) -> float:
    """Mean capped relative error, ``sum_j p_j min(|e_j|, 1)``: the `loss` of every result.

    Parameters
    ----------
    error : ndarray, shape (m,)
        Errors as shares of the targets' scales; unreachable targets included.
    importance : ndarray, shape (m,)
        Shares p that add up to one.
    """
    cost = capped_error(error)
    # Not `@`: BLAS would wake threads of its own, which spin on and hold up the fit's for 30 ms.
    return float((cost * importance).sum())
