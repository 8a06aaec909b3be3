"""The numbers a result is judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.losses import SCORE_CAP


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


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2`` (Kish 1965, Survey Sampling, 11.7)."""
    return float(weights.sum() ** 2 / (weights @ weights))


def fit_metrics(error: NDArray[np.float64], importance: NDArray[np.float64]) -> dict[str, float]:
    """Summarise the relative errors of all targets, unreachable ones included."""
    size = np.abs(error)
    return {
        "loss": score(error, importance),
        "median_error": float(np.median(size)),
        "max_error": float(size.max()),
        "within_1pct": float((size <= 0.01).mean()),
        "within_10pct": float((size <= 0.10).mean()),
    }


def weight_metrics(
    weights: NDArray[np.float64], design_weights: NDArray[np.float64]
) -> dict[str, float]:
    """Summarise the weights of the chosen records.

    `design_effect` is the number of these records, k, over their effective sample size;
    `max_weight_ratio` the largest w / w0; `top_1pct_weight_share` the share of all weight that
    the heaviest hundredth of the records (at least one) carries.
    """
    heaviest = np.sort(weights)[::-1][: max(1, len(weights) // 100)]
    size = effective_sample_size(weights)
    return {
        "effective_sample_size": size,
        "design_effect": len(weights) / size,
        "max_weight_ratio": float((weights / design_weights).max()),
        "top_1pct_weight_share": float(heaviest.sum() / weights.sum()),
    }
