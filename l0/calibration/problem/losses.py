"""The losses of a scaled error, and the score of a result.

A fit minimises the weighted mean of one of the losses. The score measures a result, and is the same
for all losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few

if TYPE_CHECKING:
    # A check of a problem needs the score, and must not wait for torch.
    from torch import Tensor

#: The score counts an error as at most 100%.
SCORE_CAP = 1.0

Loss = Callable[["Tensor"], "Tensor"]


def absolute(error: Tensor) -> Tensor:
    """Return the absolute error, which gives up targets that contradict the others.

    Parameters
    ----------
    error : Tensor, shape (m,)
        The errors, as shares of the targets' scales.

    Returns
    -------
    Tensor, shape (m,)

    Examples
    --------
    >>> import torch
    >>> from l0.calibration.problem.losses import absolute
    >>> absolute(torch.tensor([-0.5, 10.0]))
    tensor([ 0.5000, 10.0000])
    """
    return error.abs()


def relative(error: Tensor) -> Tensor:
    """Return the squared relative error, ``e^2``, as in the relative loss of l0-python 0.6.

    Parameters
    ----------
    error : Tensor, shape (m,)
        The errors, as shares of the targets' scales.

    Returns
    -------
    Tensor, shape (m,)

    Examples
    --------
    >>> import torch
    >>> from l0.calibration.problem.losses import relative
    >>> relative(torch.tensor([-0.5, 2.0]))
    tensor([0.2500, 4.0000])
    """
    return error.square()


#: The losses by name. "capped" is named after the score, whose sum over the targets it minimises: a
#: fit cannot minimise the cap itself, which is not convex.
LOSSES: dict[str, Loss] = {"capped": absolute, "relative": relative}


def get_loss(name: str) -> Loss:
    """Look up a loss by name. An unknown name is an `InputError` that lists the known ones."""
    if not isinstance(name, str) or name not in LOSSES:
        raise InputError(f"`loss` is {name!r}; it must be one of {first_few(LOSSES)}")
    return LOSSES[name]


def capped_error(error: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sizes of relative errors, at most 100% each: ``min(|e|, 1)``."""
    size: NDArray[np.float64] = np.abs(error, dtype=np.float64)
    return np.minimum(size, SCORE_CAP)


def score(error: NDArray[np.floating], importance: NDArray[np.float64]) -> float:
    """Return the mean capped relative error, ``sum_j p_j min(|e_j|, 1)``.

    This is the metric `loss` of every result.

    Parameters
    ----------
    error : ndarray, shape (m,)
        The errors of all targets, also of unreachable ones, as shares of the targets' scales.
    importance : ndarray, shape (m,)
        The shares p, which add up to one.
    """
    cost = capped_error(error)
    # Not `@`: the threads of BLAS would spin after it, and delay the threads of the fit by 30 ms.
    return float((cost * importance).sum())
