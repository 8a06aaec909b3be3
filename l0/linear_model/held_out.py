"""The loss of each size on the rows that folds hold out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from l0.common.blas_threads import one_thread
from l0.common.errors import InputError
from l0.linear_model.choice import HeldOut, Question, state
from l0.linear_model.folds import folds
from l0.linear_model.rows import Model, Rows
from l0.linear_model.search import Search


def held_out(
    cv: Any,
    rows: Rows,
    question: Question,
    classes: bool,
    one_standard_error: bool,
    groups: ArrayLike | None = None,
) -> HeldOut:
    """Search all sizes without each fold, and judge their models on it.

    Parameters
    ----------
    cv : int, splitter or iterable
    rows : Rows
    question : Question
    classes : bool
        Whether `y` has classes.
    one_standard_error : bool
    groups : array, shape (n,), optional
        The group of each row, for a splitter that keeps groups together.

    Returns
    -------
    HeldOut
    """
    splits = folds(cv, rows, classes, groups)
    losses = np.zeros((len(question.sizes), len(splits)))
    for fold, (part, rest) in enumerate(splits):
        try:
            stated = state(part, question)
        except InputError as error:
            raise InputError(
                f"without the rows that fold {fold} of `cv` holds out: {error}"
            ) from error
        with one_thread:
            search = Search(stated.problem, question.sizes)
        for place, size in enumerate(question.sizes):
            found = min(size, max(search.chosen))
            chosen = search.units[search.chosen[found]]
            model = stated.model(stated.shrunk(search, found), chosen)
            losses[place, fold] = _loss(model, question, part, rest)
    tested = np.array([rest.weights.sum() for _, rest in splits])
    losses[:, tested == 0] = np.nan  # nothing was judged
    losses[:, tested > 0] /= tested[tested > 0]
    if one_standard_error and np.count_nonzero(tested) < 2:
        raise InputError(
            "`one_standard_error` needs two folds that hold out rows of positive weight; give `cv` "
            "more folds"
        )
    return HeldOut(question.sizes[0], losses, tested, one_standard_error)


def _loss(model: Model, question: Question, part: Rows, rest: Rows) -> float:
    """Return the loss of held-out rows, summed over them.

    Where the loss does not fall into parts, it is by how much they raise the loss of the rows of
    the fit (Verweij & van Houwelingen 1993, Statistics in Medicine 12(24)).
    """
    rest = rest.counting()
    if not len(rest.weights):
        return 0.0
    scores = model.scores(rest.x)
    inside = question.loss_of(part.y, part.weights)
    if inside.by_row:
        return question.loss_of(rest.y, rest.weights).total(scores)
    before = model.scores(part.x)
    every = question.loss_of(
        np.concatenate([part.y, rest.y]), np.concatenate([part.weights, rest.weights])
    )
    return every.total(np.concatenate([before, scores])) - inside.total(before)
