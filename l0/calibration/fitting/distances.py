"""Distances of weights to base weights, one class each."""

from __future__ import annotations

from torch import Tensor


class EntropyDistance:
    """The raking (entropy) distance, as a share of the sum of the base weights.

    D(u, g) = sum_i W_i (q_i log q_i - q_i + 1) / sum_i W_i, where q = u / g and W = w0 g
    (Deville & Särndal 1992, JASA 87(418), table 1, case 2). It is a function of log u.

    Parameters
    ----------
    log_base : Tensor, shape (k,)
        log g.
    weight : Tensor, shape (k,)
        W = w0 g, times any constant.
    """

    def __init__(self, log_base: Tensor, weight: Tensor) -> None:
        self._log_base = log_base
        self._share = weight / weight.sum()

    def __call__(self, log_ratios: Tensor) -> Tensor:
        """Map log u, shape (k,), to D, shape ()."""
        log_q = log_ratios - self._log_base
        return self._share @ (log_q.exp() * (log_q - 1) + 1)
