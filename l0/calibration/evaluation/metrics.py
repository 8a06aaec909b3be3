"""The numbers a result is judged by."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.losses import score


class Counts(TypedDict):
    """How many records and targets there are."""

    n_records: int
    n_candidates: int
    n_targets: int
    n_unreachable: int


class FitMetrics(TypedDict):
    """How well the targets are hit."""

    loss: float
    median_error: float
    max_error: float
    within_1pct: float
    within_10pct: float


class UntargetedMetrics(TypedDict):
    """What became of statistics that are no target; None where there are none."""

    untargeted_median_error: float | None
    untargeted_capped_error: float | None


class WeightMetrics(TypedDict):
    """How even the weights are."""

    effective_sample_size: float
    design_effect: float
    max_weight_ratio: float
    top_1pct_weight_share: float


class Quality(Counts, FitMetrics, UntargetedMetrics, WeightMetrics):
    """What weights are worth."""


class Metrics(Quality):
    """The metrics of a result (`CalibrationResult` says what each one is)."""

    seconds: float


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2`` (Kish 1965, Survey Sampling, 11.7)."""
    return float(weights.sum() ** 2 / (weights @ weights))


def fit_metrics(error: NDArray[np.float64], importance: NDArray[np.float64]) -> FitMetrics:
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
) -> WeightMetrics:
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
