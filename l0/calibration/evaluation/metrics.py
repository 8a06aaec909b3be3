"""The metrics of a result."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.losses import score


class Certificate(TypedDict):
    """How close a fit is to the best possible one."""

    gap: float
    fit_status: str


class Counts(TypedDict):
    """The numbers of records and targets."""

    n_records: int
    n_candidates: int
    n_forced_out: int
    n_targets: int
    n_unreachable: int


class FitMetrics(TypedDict):
    """The errors of the targets."""

    loss: float
    median_error: float
    max_error: float
    within_1pct: float
    within_10pct: float


class HoldoutMetrics(TypedDict):
    """The number and the errors of the targets that were held out; None if there are none."""

    n_holdout: int
    holdout_median_error: float | None
    holdout_capped_error: float | None


class UntargetedMetrics(TypedDict):
    """The errors of statistics that are held out, and of soft targets; None if there are none."""

    untargeted_median_error: float | None
    untargeted_capped_error: float | None
    represented_capped_error: float | None


class WeightMetrics(TypedDict):
    """The variation of the weights."""

    effective_sample_size: float
    design_effect: float
    max_weight_ratio: float
    top_1pct_weight_share: float


class Quality(Counts, FitMetrics, Certificate, HoldoutMetrics, UntargetedMetrics, WeightMetrics):
    """All metrics of weights."""


class Metrics(Quality):
    """The metrics of a result (see `CalibrationResult`)."""

    seconds: float


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """Compute ``(sum w)^2 / sum w^2`` (Kish 1965, Survey Sampling, section 11.7)."""
    # Squares of very large weights overflow. A power of two changes no digit of a weight.
    scaled = np.ldexp(weights, -np.frexp(np.abs(weights).max())[1])
    return float(scaled.sum() ** 2 / (scaled @ scaled))


def fit_metrics(error: NDArray[np.float64], importance: NDArray[np.float64]) -> FitMetrics:
    """Summarise the relative errors of all targets, also of unreachable ones."""
    size = np.abs(error)
    return {
        "loss": score(error, importance),
        "median_error": float(np.median(size)),
        "max_error": float(size.max()),
        "within_1pct": float((size <= 0.01).mean()),
        "within_10pct": float((size <= 0.10).mean()),
    }


def holdout_metrics(error: NDArray[np.float64], importance: NDArray[np.float64]) -> HoldoutMetrics:
    """Summarise the relative errors of the targets that were held out.

    Parameters
    ----------
    error, importance : ndarray of float64, shape (h,)
        `importance` are shares that add up to one.
    """
    return {
        "n_holdout": len(error),
        "holdout_median_error": float(np.median(np.abs(error))) if len(error) else None,
        "holdout_capped_error": score(error, importance) if len(error) else None,
    }


def weight_metrics(
    weights: NDArray[np.float64], design_weights: NDArray[np.float64]
) -> WeightMetrics:
    """Summarise the weights of the chosen records.

    `design_effect` is the number of these records, k, over their effective sample size.
    `max_weight_ratio` is the largest w / w0. `top_1pct_weight_share` is the share of the sum of the
    weights that the 1% of the records with the largest weights have (at least one record).
    """
    heaviest = np.sort(weights)[::-1][: max(1, len(weights) // 100)]
    size = effective_sample_size(weights)
    return {
        "effective_sample_size": size,
        "design_effect": len(weights) / size,
        "max_weight_ratio": float((weights / design_weights).max()),
        "top_1pct_weight_share": float(heaviest.sum() / weights.sum()),
    }
