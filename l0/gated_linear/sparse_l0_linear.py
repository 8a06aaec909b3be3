"""Least squares on sparse data with a hard-concrete gate on every coefficient."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from l0.common.validation import checked_vector, not_negative, positive, whole_number
from l0.gated_linear.gated_columns import GatedColumns, to_host
from l0.sparse_operator import SparseOperator

#: The standard deviations of log alpha and of the coefficients at the start.
LOG_ALPHA_SD, WEIGHT_SD = 0.01, 0.1
#: In `get_sparsity`, a gate below this counts as closed.
CLOSED = 0.01


class SparseL0Linear(GatedColumns):
    r"""A linear model of sparse data, with gates and a penalty on the open gates.

    .. math::
        \min_{w, b, \alpha} \; \frac{1}{n} \sum_i (y_i - b - \sum_j X_{ij} z_j w_j)^2
        + \lambda \sum_j P(z_j \ne 0)

    with hard-concrete gates z with the location log alpha. Each epoch draws new gates.

    The penalty only controls the number of features. To choose exactly k columns, or the best
    number of them, use :class:`l0.linear_model.L0Regressor`.

    Parameters
    ----------
    n_features : int
        The number of columns p.
    fit_intercept : bool, default True
        Whether there is a `bias`.
    beta : float, default 2/3
        The temperature of the gates, > 0.
    gamma, zeta : float, default -0.1 and 1.1
        The ends of the stretched interval, < 0 and > 1.
    init_keep_prob : float, default 0.5
        sigmoid(log alpha) at the start, from 0 to 1. P(open) is higher: 0.83 at the defaults.
    device : torch.device or str, default "cpu"
        None is CUDA if it is available.
    seed : int, optional
        Makes all random numbers reproducible, without use of torch's global generator. None uses
        that generator, as torch's own modules do.

    Attributes
    ----------
    weight : nn.Parameter, shape (p,)
        w; 0 until the first fit. A fit draws the start of w if all of w is still 0.
    log_alpha : nn.Parameter, shape (p,)
        The location of each gate.
    bias : nn.Parameter, shape (1,), or None
        b.

    Raises
    ------
    InputError
        If an argument is out of its range; the message names it.

    References
    ----------
    C. Louizos, M. Welling, D. P. Kingma, "Learning Sparse Neural Networks through L0
    Regularization", ICLR 2018, arXiv:1712.01312.

    Examples
    --------
    Two of 20 columns make the outcome:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from l0 import SparseL0Linear
    >>> X = np.random.default_rng(0).normal(size=(200, 20))
    >>> y = 3 * X[:, 4] - 2 * X[:, 11]
    >>> model = SparseL0Linear(n_features=20, seed=0)
    >>> _ = model.fit(csr_array(X), y, lambda_reg=0.3, lr=0.05, epochs=300)
    >>> model.get_selected_features()
    tensor([ 4, 11])
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        n_features: int,
        fit_intercept: bool = True,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        init_keep_prob: float = 0.5,
        device: str | torch.device | None = "cpu",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            n_features,
            beta=beta,
            gamma=gamma,
            zeta=zeta,
            init_keep_prob=init_keep_prob,
            log_alpha_jitter_sd=LOG_ALPHA_SD,
            device=device,
            seed=seed,
        )
        self.fit_intercept = bool(fit_intercept)
        kind: dict[str, Any] = {"dtype": torch.float32, "device": self.device}
        self.weight = nn.Parameter(torch.zeros(self.n_features, **kind))
        bias = nn.Parameter(torch.zeros(1, **kind)) if fit_intercept else None
        self.register_parameter("bias", bias)

    def get_sparsity(self) -> float:
        """Return the share of median gates below 0.01."""
        with torch.no_grad():
            return float((self.get_deterministic_gates() < CLOSED).float().mean())

    def get_selected_features(self, threshold: float = 0.01) -> Tensor:
        """Return the positions of the features whose median gate is above a threshold.

        Parameters
        ----------
        threshold : float, default 0.01

        Returns
        -------
        LongTensor, shape (n_selected,)
        """
        with torch.no_grad():
            return (self.get_deterministic_gates() > threshold).nonzero().squeeze(1)

    def forward(self, X: Any, deterministic: bool = False) -> Tensor:
        """Return the predictions.

        Parameters
        ----------
        X : sparse or dense matrix of scipy, numpy or torch, shape (n, p)
            The last matrix is kept in the form that products need. It is recognised by its content.
        deterministic : bool, default False
            Whether to use the median gates instead of a sample.

        Returns
        -------
        Tensor of float32, shape (n,)

        Raises
        ------
        InputError
            If the shape does not match, or if entries are not finite.
        """
        return self._predictions(self._operator(X, "X", "samples"), deterministic)

    def predict(self, X_sparse: Any) -> Tensor:
        """Return the predictions of the median gates, without a gradient.

        Parameters
        ----------
        X_sparse : sparse or dense matrix of scipy, numpy or torch, shape (n, p)

        Returns
        -------
        Tensor of float32, shape (n,)
        """
        with torch.no_grad():
            return self(X_sparse, deterministic=True)  # type: ignore[no-any-return]

    def fit(
        self,
        X_sparse: Any,
        y: ArrayLike | Tensor,
        lambda_reg: float = 0.01,
        lr: float = 0.01,
        epochs: int = 1000,
        verbose: bool = False,
        verbose_freq: int = 100,
    ) -> SparseL0Linear:
        """Fit coefficients and gates by Adam; a further call continues the fit.

        Parameters
        ----------
        X_sparse : sparse or dense matrix of scipy, numpy or torch, shape (n, p)
        y : array, shape (n,)
        lambda_reg : float, default 0.01
            lambda, the price of an open gate, >= 0.
        lr : float, default 0.01
            The learning rate.
        epochs : int, default 1000
            The number of steps.
        verbose : bool, default False
            Whether to print a line every `verbose_freq` epochs.
        verbose_freq : int, default 100

        Returns
        -------
        SparseL0Linear
            Itself.

        Raises
        ------
        InputError
            If numbers are not finite, if shapes do not match, or if an argument is out of its
            range. Nothing has changed then.
        """
        operator = self._operator(X_sparse, "X_sparse", "samples")
        values = checked_vector(to_host(y), operator.shape[0], "y", "rows of `X_sparse`")
        lambda_reg = not_negative(lambda_reg, "lambda_reg")
        verbose_freq = whole_number(verbose_freq, "verbose_freq", 1)
        lr, epochs = positive(lr, "lr"), whole_number(epochs, "epochs", 0)
        goal = torch.as_tensor(values, dtype=torch.float32).to(self.device)

        def objective() -> Tensor:
            residual = self._predictions(operator, deterministic=False) - goal
            return residual.square().mean() + lambda_reg * self.get_l0_penalty()

        def report(epoch: int, loss: float) -> None:
            if epoch % verbose_freq == 0:
                active = len(self.get_selected_features())
                print(  # noqa: T201 - asked for
                    f"epoch {epoch}: loss {loss:.6g}, {active:,} of {self.n_features:,} active"
                )

        if not self.weight.any():
            self._start(goal)
        self._descend(self.parameters(), objective, lr, epochs, report if verbose else None)
        return self

    @torch.no_grad()
    def _start(self, goal: Tensor) -> None:
        self.weight.copy_(WEIGHT_SD * self._normal(self.weight))
        if self.bias is not None:
            self.bias.fill_(goal.mean())

    def _predictions(self, operator: SparseOperator, deterministic: bool) -> Tensor:
        y = operator((self.weight * self._gates(deterministic)).float())
        return y if self.bias is None else y + self.bias
