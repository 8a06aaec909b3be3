"""Calibration weights with hard-concrete gates: the model of l0-python 0.6, with fast products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from l0.common.errors import InputError, closest, first_few
from l0.common.formatting import counted
from l0.common.validation import (
    checked_labels,
    checked_vector,
    not_negative,
    positive,
    whole_number,
)
from l0.gated_linear.gated_columns import GatedColumns, to_host
from l0.sparse_operator import SparseOperator

#: A weight of 0 starts at this, because its logarithm must be finite.
LEAST_WEIGHT = 1e-8


class SparseCalibrationWeights(GatedColumns):
    r"""Positive weights with gates, fitted to totals with a penalty on the open gates.

    .. math::
        \min_{x, \alpha} \; \sum_j g_j \left(\frac{y_j - \sum_i M_{ji} z_i e^{x_i}}{s_j}\right)^2
        + \lambda_0 \sum_i P(z_i \ne 0) + \lambda_2 \sum_i e^{2 x_i}

    with hard-concrete gates z with the location log alpha. Each epoch draws new gates. s is 1 for
    the loss ``"mse"`` and max(abs(y), 1) for ``"relative"``. g is 1, or depends on groups (see
    `fit`). The errors are summed, not averaged.

    The penalties only control how many weights are left. To keep exactly k records that also
    represent statistics without a target, use :func:`l0.calibrate`.

    Parameters
    ----------
    n_features : int
        The number of weights n, one for each record.
    beta : float, default 2/3
        The temperature of the gates, > 0.
    gamma, zeta : float, default -0.1 and 1.1
        The ends of the stretched interval, < 0 and > 1.
    init_keep_prob : float or array of shape (n,), default 0.5
        sigmoid(log alpha) at the start, from 0 to 1. P(open) is higher: 0.83 at the defaults.
    init_weights : float or array of shape (n,), optional
        exp(x) at the start, >= 0. A weight of 0 starts at 1e-8. The default is 1.
    log_weight_jitter_sd : float, default 0.0
        The standard deviation of the noise that the first `fit` adds to x. Set this attribute again
        to add new noise at the next call of `fit`.
    log_alpha_jitter_sd : float, default 0.01
        The standard deviation of the noise on log alpha at the start.
    device : torch.device or str, default "cpu"
        None is CUDA if it is available.
    use_gates : bool, default True
        Whether there are gates. Without them, all weights stay and the first penalty is left out.
    seed : int, optional
        Makes all random numbers reproducible, without use of torch's global generator. None uses
        that generator, as torch's own modules do.

    Attributes
    ----------
    log_weight : nn.Parameter, shape (n,)
        x.
    log_alpha : nn.Parameter, shape (n,)
        The location of each gate.

    Raises
    ------
    InputError
        If an argument is out of its range or has the wrong shape; the message names it.

    Notes
    -----
    `state_dict` holds the two parameters and, after a `fit`, the state of Adam and of the
    generators, so that a fit goes on from a checkpoint as if it had not stopped: with a `seed`,
    bit for bit on the same machine. (Without one, the noise comes from torch's global generator,
    whose state is yours to save.) `copy.deepcopy` and a pickle of the module carry the same.
    `load_state_dict` adds no noise to the weights. It takes the state of l0-python 0.6, which has
    the parameters alone: then Adam starts anew. l0-python 0.6 takes a state that was saved after a
    `fit` with ``strict=False``, and leaves out what it does not know.

    References
    ----------
    C. Louizos, M. Welling, D. P. Kingma, "Learning Sparse Neural Networks through L0
    Regularization", ICLR 2018, arXiv:1712.01312.

    Examples
    --------
    Two totals of 50 records. The penalty closes most gates:

    >>> import numpy as np
    >>> from l0 import SparseCalibrationWeights
    >>> M = np.random.default_rng(0).lognormal(size=(2, 50))
    >>> model = SparseCalibrationWeights(n_features=50, seed=0)
    >>> _ = model.fit(
    ...     M, M.sum(axis=1), lambda_l0=0.01, lr=0.1, epochs=500, loss_type="relative"
    ... )
    >>> model.get_active_weights()["count"] < 20
    True
    >>> error = model.predict(M).numpy() / M.sum(axis=1) - 1
    >>> bool((np.abs(error) < 0.05).all())
    True
    """

    log_weight: nn.Parameter

    def __init__(
        self,
        n_features: int,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        init_keep_prob: float | ArrayLike = 0.5,
        init_weights: float | ArrayLike | None = None,
        log_weight_jitter_sd: float = 0.0,
        log_alpha_jitter_sd: float = 0.01,
        device: str | torch.device | None = "cpu",
        use_gates: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            n_features,
            beta=beta,
            gamma=gamma,
            zeta=zeta,
            init_keep_prob=init_keep_prob,
            log_alpha_jitter_sd=log_alpha_jitter_sd,
            device=device,
            seed=seed,
        )
        self.use_gates = bool(use_gates)
        self.log_weight_jitter_sd = log_weight_jitter_sd
        weights = self._each(1.0 if init_weights is None else init_weights, "init_weights")
        negative = (weights < 0).nonzero().squeeze(1)
        if len(negative):
            raise InputError(
                f"`init_weights` is negative at {first_few(negative[:5].tolist(), len(negative))};"
                " weights must be at least 0"
            )
        self.log_weight = nn.Parameter(weights.clamp(min=LEAST_WEIGHT).log().to(self.device))

    @property
    def log_weight_jitter_sd(self) -> float:
        """The standard deviation of the noise on x; if it is set, the next `fit` adds new noise."""
        return self._log_weight_jitter_sd

    @log_weight_jitter_sd.setter
    def log_weight_jitter_sd(self, value: float) -> None:
        self._log_weight_jitter_sd = not_negative(value, "log_weight_jitter_sd")
        self._jitter_due = value > 0

    def get_weights(self, deterministic: bool = False) -> Tensor:
        """Return the weights z exp(x), differentiable.

        Parameters
        ----------
        deterministic : bool, default False
            Whether to use the median gates instead of a sample.

        Returns
        -------
        Tensor, shape (n_features,)
            At least 0.
        """
        weights = self.log_weight.exp()
        return weights * self._gates(deterministic) if self.use_gates else weights

    def get_active_weights(self) -> dict[str, Any]:
        """Return the weights that are positive with the median gates.

        Returns
        -------
        dict
            ``indices`` (LongTensor), ``values`` (Tensor) and ``count`` (int).
        """
        with torch.no_grad():
            weights = self.get_weights(deterministic=True)
            indices = weights.nonzero().squeeze(1)
        return {"indices": indices, "values": weights[indices], "count": len(indices)}

    def get_sparsity(self) -> float:
        """Return the share of weights that are 0 with the median gates."""
        return 1.0 - float(self.get_active_weights()["count"]) / self.n_features

    def get_l2_penalty(self) -> Tensor:
        """Return the sum of squares of exp(x), without gates, differentiable, shape ()."""
        return (2 * self.log_weight).exp().sum()

    def forward(self, M: Any, deterministic: bool = False) -> Tensor:
        """Return the weighted totals M w.

        Parameters
        ----------
        M : scipy sparse array or matrix, or dense array, shape (m, n_features)
            How much a unit of each weight adds to each target. The last matrix is kept
            in the form that products need. It is recognised by its content.
        deterministic : bool, default False
            Whether to use the median gates instead of a sample.

        Returns
        -------
        Tensor of float32, shape (m,)

        Raises
        ------
        InputError
            If the shape does not match, or if entries are not finite.
        """
        return self._totals(self._operator(M, "M", "targets"), deterministic)

    def predict(self, M: Any) -> Tensor:
        """Return the totals with the median gates, without a gradient (see `forward`).

        Parameters
        ----------
        M : scipy sparse array or matrix, or dense array, shape (m, n_features)

        Returns
        -------
        Tensor of float32, shape (m,)
        """
        with torch.no_grad():
            return self(M, deterministic=True)  # type: ignore[no-any-return]

    def fit(
        self,
        M: Any,
        y: ArrayLike | Tensor,
        lambda_l0: float = 0.01,
        lambda_l2: float = 0.0,
        lr: float = 0.01,
        epochs: int = 1000,
        loss_type: str = "mse",
        verbose: bool = False,
        verbose_freq: int = 100,
        target_groups: ArrayLike | None = None,
        normalize_groups: bool = True,
        group_multipliers: Mapping[Any, float] | None = None,
    ) -> SparseCalibrationWeights:
        """Fit weights and gates by Adam; a further call continues the fit.

        Parameters
        ----------
        M : scipy sparse array or matrix, or dense array, shape (m, n_features)
            How much a unit of each weight adds to each target.
        y : array, shape (m,)
            The totals.
        lambda_l0, lambda_l2 : float, default 0.01 and 0.0
            The strengths of the two penalties, >= 0.
        lr : float, default 0.01
            The learning rate.
        epochs : int, default 1000
            The number of steps.
        loss_type : {"mse", "relative"}, default "mse"
            ``"relative"`` divides each error by max(abs(y), 1).
        verbose : bool, default False
            Whether to print a line every `verbose_freq` epochs.
        verbose_freq : int, default 100
        target_groups : array, shape (m,), optional
            The label of each target's group.
        normalize_groups : bool, default True
            Whether to divide each squared error by the size of its group, so that all groups count
            the same.
        group_multipliers : dict of label to float, optional
            Factors >= 0 on the squared errors of some groups.

        Returns
        -------
        SparseCalibrationWeights
            Itself.

        Raises
        ------
        InputError
            If numbers are not finite, if shapes do not match, if a target without entries has a
            total other than 0, or if `loss_type` or a group is unknown. Nothing has changed then.
        """
        operator = self._operator(M, "M", "targets")
        m = operator.shape[0]
        totals = checked_vector(to_host(y), m, "y", "rows of `M`")
        _check_not_empty(operator, totals)
        scale = _scales(totals, loss_type)
        importance = _importance(m, target_groups, normalize_groups, group_multipliers)
        lambda_l0 = not_negative(lambda_l0, "lambda_l0")
        lambda_l2 = not_negative(lambda_l2, "lambda_l2")
        verbose_freq = whole_number(verbose_freq, "verbose_freq", 1)
        lr, epochs = positive(lr, "lr"), whole_number(epochs, "epochs", 0)
        goal, share = self._tensor(totals / scale), self._tensor(importance)
        shrink = self._tensor(1 / scale)

        def objective() -> Tensor:
            estimates = self._totals(operator, deterministic=False)
            loss = share @ (estimates * shrink - goal).square()
            if self.use_gates:
                loss = loss + lambda_l0 * self.get_l0_penalty()
            if lambda_l2:
                loss = loss + lambda_l2 * self.get_l2_penalty()
            return loss

        def report(epoch: int, loss: float) -> None:
            if epoch % verbose_freq == 0:
                with torch.no_grad():
                    estimates = self._totals(operator, deterministic=True).cpu().numpy()
                error = np.abs(estimates - totals) / np.maximum(np.abs(totals), 1)
                mean = np.average(error, weights=importance)
                active = self.get_active_weights()["count"]
                print(  # noqa: T201 - asked for
                    f"epoch {epoch}: mean relative error {mean:.4%}, largest {error.max():.1%}, "
                    f"loss {loss:.6g}, {active:,} of {self.n_features:,} active"
                )

        if self._jitter_due:
            with torch.no_grad():
                self.log_weight.add_(self._normal(self.log_weight), alpha=self.log_weight_jitter_sd)
            self._jitter_due = False
        parameters = [self.log_weight, self.log_alpha] if self.use_gates else [self.log_weight]
        self._descend(parameters, objective, lr, epochs, report if verbose else None)
        return self

    def _totals(self, operator: SparseOperator, deterministic: bool) -> Tensor:
        return operator(self.get_weights(deterministic).float())

    def _tensor(self, array: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32).to(self.device)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._jitter_due = False  # the loaded weights are not to be changed


def _scales(totals: NDArray[np.float64], loss_type: str) -> NDArray[np.float64]:
    if loss_type == "mse":
        return np.ones_like(totals)
    if loss_type == "relative":
        return np.maximum(np.abs(totals), 1.0)
    raise InputError(f"`loss_type` is {loss_type!r}; it must be 'mse' or 'relative'")


def _check_not_empty(operator: SparseOperator, totals: NDArray[np.float64]) -> None:
    empty = np.flatnonzero(operator.empty_rows & (totals != 0))
    if empty.size:
        raise InputError(
            f"`M` has no entry in {counted(empty.size, 'row')} whose total is not 0 "
            f"({first_few(empty.tolist())}): no weight can reach them; drop these targets"
        )


def _importance(
    n_targets: int,
    groups: ArrayLike | None,
    normalize: bool,
    multipliers: Mapping[Any, float] | None,
) -> NDArray[np.float64]:
    """Return the weight of each target's squared error, (m,)."""
    if groups is None:
        if multipliers is not None:
            raise InputError("group_multipliers requires target_groups; pass both or neither")
        return np.ones(n_targets)
    groups = to_host(groups)
    checked_labels(groups, n_targets, "target_groups", "rows of `M`")
    try:
        labels, of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    except TypeError as error:
        raise InputError(f"`target_groups` are of mixed types ({error}); pass one type") from None
    factor = 1 / sizes if normalize else np.ones(len(labels))
    for label, times in (multipliers or {}).items():
        place = np.flatnonzero(labels == label)
        if not place.size:
            raise InputError(
                f"`group_multipliers` names {label!r}, which is not found in `target_groups`; "
                f"{closest(label, labels.tolist())}"
            )
        factor[place] *= not_negative(times, f"group_multipliers[{label!r}]")
    return factor[of]
