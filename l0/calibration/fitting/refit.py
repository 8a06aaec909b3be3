"""The refit: weights of a fixed set of records, close to base weights.

For records with base ratios g, it minimises over the ratios u = w / w0

    datafit(A u) + mu D(u, g),    D = sum_i W_i (q_i log q_i - q_i + 1) / sum_i W_i,

where q = u / g and W = w0 g. D is the raking distance (`EntropyDistance`). Calibration with a
penalty instead of constraints is ridge calibration (Beaumont & Bocci 2008, Metron 66(1)), which has
squared errors. It has a solution when totals contradict each other. The sum with the losses here is
ours.
On the bundled CPS (hybrid, 5,545 records, medians of three seeds), mu = 0.01, 0.1 and 1 give losses
of 1.81%, 1.83% and 2.16%, and effective sample sizes of 4,010, 4,363 and 4,405.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.history import due
from l0.calibration.fitting.selected import SelectedRatios, Selection

LEARNING_RATE = 0.05
#: The number of snapshots of a refit.
SNAPSHOTS = 8
#: mu for the calibration of all records, whose base weights are the design weights.
FULL_FILE_MU = 0.002


def refit(context: FitContext, selection: Selection, stage: str = "refit") -> NDArray[np.float64]:
    """Fit the ratios of the selected records.

    Parameters
    ----------
    context : FitContext
    selection : Selection
    stage : str
        The name of this fit in the history.

    Returns
    -------
    ndarray of float64, shape (k,)
        The ratios u > 0, within the bounds up to rounding.
    """
    objective, epochs = context.objective, context.epochs
    chosen = SelectedRatios(objective, selection)
    optimizer = torch.optim.Adam([chosen.log_ratios], lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    objective.bounds.clamp_log_(chosen.log_ratios)
    for epoch in range(epochs):
        estimates = chosen.estimates()
        optimizer.zero_grad()
        (objective.datafit(estimates) + chosen.penalty()).backward()
        optimizer.step()
        schedule.step()
        objective.bounds.clamp_log_(chosen.log_ratios)
        if since := due(epoch, epochs, SNAPSHOTS):
            context.history.snapshot(
                stage, since, len(selection.records), estimates.detach().cpu().numpy()
            )
    return chosen.log_ratios.detach().cpu().double().exp().numpy()


def calibrate_full_file(context: FitContext) -> NDArray[np.float64]:
    """Calibrate all records. Their weights are the reference of the untargeted statistics."""
    n = context.objective.problem.n_records
    return refit(context, Selection(np.arange(n), np.ones(n), FULL_FILE_MU), stage="full")
