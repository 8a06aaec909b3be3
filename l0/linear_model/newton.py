"""The fit of a loss on few columns, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l0.linear_model.losses import Loss, Point
from l0.linear_model.statistics import Matrix

#: The most Newton steps. A step that lowers the loss by at most this share is the last one.
NEWTON_STEPS, CONVERGED = 100, 1e-9
#: A further Newton step of this size, for columns of variance 1, says that there is no optimum.
MOVES = 1e-3


@dataclass(frozen=True)
class Fit:
    """A linear model on some columns.

    Attributes
    ----------
    slopes : ndarray, shape (m, q)
        With several classes, they sum to 0 over the classes.
    intercept : ndarray, shape (q,)
    value : float
        The loss, plus l2 / 2 times the sum of squared slopes.
    point : Point
        The loss at the fit.
    """

    slopes: Matrix
    intercept: Matrix
    value: float
    point: Point


def fit(
    loss: Loss,
    columns: Matrix,
    l2: float,
    free: bool,
    start: tuple[Matrix, Matrix] | None = None,
) -> Fit:
    """Fit by Newton's method, with steps halved until the loss falls enough.

    The rule for "enough" is that of Armijo (Nocedal & Wright 2006, "Numerical optimization",
    section 3.1) with the constant 1e-4.

    Parameters
    ----------
    loss : Loss
    columns : ndarray, shape (n, free + m)
        Standardised columns, not multiplied by the roots of the weights.
    l2 : float
        The ridge.
    free : bool
        Whether there is an intercept. Its column of ones is then the first one.
    start : pair of ndarray, optional
        Slopes, (m, q), and intercept, (q,).

    Returns
    -------
    Fit
    """
    first = int(free)
    penalty = np.full(columns.shape[1], l2)
    penalty[:first] = 0.0
    theta = np.zeros((len(penalty), loss.y.shape[1]))
    if start is not None:
        theta[first:], theta[:first] = start
    elif free:
        theta[0] = loss.intercept(free)

    def evaluate(theta: Matrix) -> tuple[Matrix, Point, float]:
        scores = columns @ theta
        point = loss.evaluate(scores)
        return scores, point, point.value + 0.5 * float(penalty @ np.sum(theta**2, axis=1))

    scores, point, value = evaluate(theta)
    if not np.isfinite(value):  # large slopes of other columns do not fit these rows
        theta = np.zeros_like(theta)
        theta[:first] = loss.intercept(free)
        scores, point, value = evaluate(theta)
    for _ in range(NEWTON_STEPS):
        gradient = columns.T @ (loss.weights[:, None] * point.residual) - penalty[:, None] * theta
        move = _step(loss.hessian(columns, scores, point), penalty, gradient)
        slope, share = float(np.sum(move * gradient)), 1.0
        if slope <= CONVERGED * abs(value):
            # The last step doubles the correct digits, but hardly changes the loss: do not test it,
            # unless the loss has no minimum, where it may lead beyond the range of numbers.
            tried = evaluate(theta + move)
            if np.isfinite(tried[2]):
                theta = theta + move
                scores, point, value = tried
            break
        while share > 1e-8:
            tried = evaluate(theta + share * move)
            if tried[2] <= value - 1e-4 * share * slope:
                break
            share /= 2
        else:
            break
        theta = theta + share * move
        scores, point, value = tried
    if loss.n_slopes < theta.shape[1]:  # the same shift of all classes changes nothing
        theta = theta - theta.mean(axis=1, keepdims=True)
    intercept = theta[0] if free else np.zeros(theta.shape[1])
    return Fit(theta[first:], intercept, value, point)


def has_minimum(loss: Loss, columns: Matrix, found: Fit, free: bool) -> bool:
    """Return whether a fit without a ridge is near a minimum of the loss.

    Parameters
    ----------
    loss : Loss
    columns : ndarray, shape (n, free + m)
        As in `fit`.
    found : Fit
    free : bool
        Whether there is an intercept.

    Returns
    -------
    bool
        False where a further Newton step moves by more than `MOVES`: the loss falls for ever along
        some direction, as where the columns separate classes or events.
    """
    theta = np.vstack([found.intercept[None][: int(free)], found.slopes])
    gradient = columns.T @ (loss.weights[:, None] * found.point.residual)
    try:
        with np.errstate(all="ignore"):
            hessian = loss.hessian(columns, columns @ theta, found.point)
            move = _step(hessian, np.zeros(columns.shape[1]), gradient)
    except np.linalg.LinAlgError:
        return False
    return settled(move, theta)


def settled(move: Matrix, theta: Matrix) -> bool:
    """Tell whether a further Newton step is so small that there is an optimum."""
    return bool((np.abs(move) <= MOVES * np.maximum(1.0, np.abs(theta))).all())


def _step(hessian: Matrix, penalty: Matrix, gradient: Matrix) -> Matrix:
    m, q = gradient.shape
    hessian[np.diag_indices(q * m)] += np.tile(penalty, q)
    # The same shift of all classes' scores changes no probability, so the Hessian is singular.
    hessian[np.diag_indices(q * m)] += 1e-10 * max(np.trace(hessian) / max(q * m, 1), 1e-10)
    return np.asarray(np.linalg.solve(hessian, gradient.T.ravel()).reshape(q, m).T)
