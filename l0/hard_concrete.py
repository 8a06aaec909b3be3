"""The hard concrete distribution of Louizos, Welling & Kingma (arXiv:1712.01312).

The functions hold the formulas, each once; :class:`HardConcrete` holds the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l0.common.dtypes import at_least_float32
from l0.common.validation import whole_number

__all__ = ["HardConcrete", "hard_concrete", "logistic_noise", "open_probability"]


def logistic_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw log u - log(1 - u) with u uniform on the open interval (0, 1).

    Parameters
    ----------
    like : Tensor
        Gives the shape, the device and the dtype. The dtype must be float32 or float64: in half
        precision u would be exactly 0 or 1 far too often.
    generator : torch.Generator, optional
        Draws u, on its own device: a CPU generator gives the same noise to gates on every device.
        By default the global generator of `like.device`.

    Returns
    -------
    Tensor, the shape of `like`
        Finite noise, symmetric about 0.

    Examples
    --------
    The noise exceeds 1 with probability sigmoid(-1) = 0.27:

    >>> import torch
    >>> from l0.hard_concrete import logistic_noise
    >>> noise = logistic_noise(torch.empty(100_000), torch.Generator().manual_seed(0))
    >>> round((noise > 1).float().mean().item(), 2)
    0.27
    """
    device = like.device if generator is None else generator.device
    u = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=device)
    # On the CPU, `rand` returns multiples of eps / 2 in [0, 1): this only changes the rare exact 0.
    return u.logit_(eps=torch.finfo(u.dtype).eps / 2).to(like.device)


def hard_concrete(
    log_alpha: Tensor, noise: Tensor | float, temperature: float, gamma: float, zeta: float
) -> Tensor:
    """Return gates: a binary concrete variable, stretched to (gamma, zeta), clipped to [0, 1].

    Parameters
    ----------
    log_alpha : Tensor
        Location of each gate.
    noise : Tensor or float
        log u - log(1 - u), broadcastable to `log_alpha`; 0 (u = 1/2) gives the median gate.
    temperature, gamma, zeta : float
        beta > 0, gamma < 0 and zeta > 1 of the paper.

    Returns
    -------
    Tensor, the shape of `log_alpha`
        Gates in [0, 1].

    Examples
    --------
    Median gates at five locations; the outer ones are exactly 0 and 1:

    >>> import torch
    >>> from l0.hard_concrete import hard_concrete
    >>> log_alpha = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
    >>> hard_concrete(log_alpha, 0.0, temperature=2 / 3, gamma=-0.1, zeta=1.1)
    tensor([0.0000, 0.1189, 0.5000, 0.8811, 1.0000])
    """
    # In place on new tensors: with millions of gates, new memory takes as long as the sigmoid.
    s = (noise + log_alpha).div_(temperature).sigmoid_()  # eq. 10
    stretched = (s * (zeta - gamma)).add_(gamma)  # eq. 10
    # Not `clamp`: its gradient takes four passes over memory, and this one takes one.
    return F.hardtanh(stretched, 0, 1)  # eq. 11 (hard sigmoid)


def open_probability(log_alpha: Tensor, temperature: float, gamma: float, zeta: float) -> Tensor:
    """Return the probability that each gate is not 0; their sum is the penalty (eq. 12).

    Parameters
    ----------
    log_alpha : Tensor
        Location of each gate.
    temperature, gamma, zeta : float
        beta > 0, gamma < 0 and zeta > 1 of the paper.

    Returns
    -------
    Tensor, the shape of `log_alpha`
        Probabilities in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from l0.hard_concrete import open_probability
    >>> log_alpha = torch.tensor([-3.0, 0.0, 3.0])
    >>> open_probability(log_alpha, temperature=2 / 3, gamma=-0.1, zeta=1.1)
    tensor([0.1976, 0.8318, 0.9900])
    """
    return torch.sigmoid(log_alpha - temperature * math.log(-gamma / zeta))  # eq. 12


class HardConcrete(nn.Module):
    r"""Stochastic gates that are exactly 0 or 1 with positive probability.

    .. math::
        z = \min(1, \max(0, s (\zeta - \gamma) + \gamma)), \quad
        s = \sigma\left(\frac{\log u - \log(1 - u) + \log\alpha}{\beta}\right), \quad
        u \sim U(0, 1)

    .. math::
        P(z \ne 0) = \sigma(\log\alpha - \beta \log(-\gamma / \zeta))

    with gamma = -stretch and zeta = 1 + stretch (eqs. 10 to 12 of the paper). In training mode a
    gate is sampled. In evaluation mode it is the median of its distribution, u = 1/2.

    Parameters
    ----------
    input_dim : int
        Number of gates, or of rows of gates.
    output_dim : int, optional
        Number of columns of gates.
    temperature : float, default 0.5
        beta > 0. The smaller it is, the closer a gate is to a Bernoulli variable. It may be set
        again at any time.
    stretch : float, default 0.1
        How far the interval reaches beyond 0 and 1; > 0.
    init_mean : float, default 0.5
        sigmoid(log alpha) at the start, between 0 and 1. It is *not* the probability that a gate
        is open. That is higher: 0.77 at the defaults.
    n_items : int, optional
        Another name for `input_dim`; give one of the two.

    Attributes
    ----------
    qz_logits : nn.Parameter, shape `gate_size`
        log alpha.
    gate_size : tuple of int
        (input_dim,) or (input_dim, output_dim).
    gamma, zeta : float
        Ends of the stretched interval.

    Raises
    ------
    ValueError
        If an argument is out of its range, or if not exactly one of `input_dim` and `n_items` is
        given.

    Notes
    -----
    The paper's gate at test time (eq. 13) is sigmoid(log alpha), stretched, without the
    temperature. It is closed only where P(open) < 0.31 (at temperature 2/3 and stretch 0.1), so it
    keeps gates that are closed in most samples. The median is closed exactly where P(open) <= 1/2.

    The temperature decides with log alpha which gates are open, but is no part of the state, as in
    l0-python 0.6. After `load_state_dict` into a new module, set it again.

    Parameters in half precision are converted to float32 for all computations. Gates have the dtype
    of `qz_logits`. Probabilities and the penalty are in float32 or better, because the sum of
    100,000 open gates is infinite in float16.

    References
    ----------
    C. Louizos, M. Welling, D. P. Kingma, "Learning Sparse Neural Networks through L0
    Regularization", ICLR 2018, section 2.3, arXiv:1712.01312.

    Examples
    --------
    Two gates, one mostly closed and one mostly open:

    >>> import torch
    >>> from l0 import HardConcrete
    >>> gates = HardConcrete(2)
    >>> _ = gates.load_state_dict({"qz_logits": torch.tensor([-4.0, 4.0])})
    >>> gates.eval()().detach()
    tensor([0., 1.])
    >>> gates.get_active_prob().detach()
    tensor([0.0573, 0.9945])
    >>> round(gates.get_penalty().item(), 4)
    1.0518
    """

    qz_logits: nn.Parameter

    def __init__(
        self,
        input_dim: int | None = None,
        output_dim: int | None = None,
        temperature: float = 0.5,
        stretch: float = 0.1,
        init_mean: float = 0.5,
        *,
        n_items: int | None = None,
    ) -> None:
        super().__init__()
        if (input_dim is None) == (n_items is None):
            raise ValueError(
                "give the number of gates as exactly one of `input_dim` and `n_items`, got "
                + ("neither" if n_items is None else "both")
            )
        rows, name = (input_dim, "input_dim") if n_items is None else (n_items, "n_items")
        self.gate_size: tuple[int, ...] = (whole_number(rows, name, 1),)
        if output_dim is not None:
            self.gate_size += (whole_number(output_dim, "output_dim", 1),)
        if not 0 < stretch < math.inf:
            raise ValueError(
                f"`stretch` must be positive and finite, got {stretch}: without it no gate is "
                "ever exactly 0 or 1; the paper uses 0.1"
            )
        if not 0 < init_mean < 1:
            raise ValueError(
                f"`init_mean` must lie strictly between 0 and 1, got {init_mean}: its logit is the "
                "start of every gate; use 0.999, say, for gates that start open"
            )
        self.temperature = temperature
        self.stretch = stretch
        self.gamma = -stretch
        self.zeta = 1.0 + stretch
        self.init_mean = init_mean
        self.qz_logits = nn.Parameter(torch.empty(self.gate_size))
        self.reset_parameters()

    @property
    def temperature(self) -> float:
        """Positive and finite: beta of the paper."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not 0 < value < math.inf:
            raise ValueError(
                f"`temperature` must be positive and finite, got {value}; "
                "between 0.1 and 2 is usual"
            )
        self._temperature = float(value)

    def reset_parameters(self) -> None:
        """Set every log alpha to the logit of `init_mean`."""
        nn.init.constant_(self.qz_logits, math.log(self.init_mean) - math.log1p(-self.init_mean))

    def forward(
        self,
        input_shape: Sequence[int] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the gates: a fresh sample in training mode, the medians in evaluation mode.

        Parameters
        ----------
        input_shape : sequence of int, optional
            Shape of the tensor to multiply. Its first axes are those of the gates; for each further
            axis, the gates get an axis of length 1.
        generator : torch.Generator, optional
            Draws the sample; by default torch's global generator does. A CPU generator gives the
            same sample on every device. On a GPU, a generator on that GPU is faster.

        Returns
        -------
        Tensor, shape `gate_size`, with trailing ones up to ``len(input_shape)`` axes
            Gates in [0, 1].

        Raises
        ------
        ValueError
            If the first axes of `input_shape` are not those of the gates: the product could have
            another shape than the input. A gate for all entries of an axis has the length 1 there.
        """
        if input_shape is not None:
            self._check_axes(input_shape)
        noise = logistic_noise(self._log_alpha, generator) if self.training else 0.0
        z = self.gates_at(noise).to(self.qz_logits.dtype)
        if input_shape is not None:
            z = z.reshape(z.shape + (1,) * (len(input_shape) - z.ndim))
        return z

    def get_penalty(self) -> Tensor:
        """Return the expected number of gates that are not 0, differentiable.

        Returns
        -------
        Tensor, shape ()
            Between 0 and the number of gates.
        """
        return self.get_active_prob().sum()

    def get_active_prob(self) -> Tensor:
        """Return the probability that each gate is not 0, differentiable.

        Returns
        -------
        Tensor, shape `gate_size`
            Probabilities in [0, 1].
        """
        return open_probability(self._log_alpha, self.temperature, self.gamma, self.zeta)

    @torch.no_grad()
    def get_open(self) -> Tensor:
        """Return which gates are open in evaluation mode, those with P(open) > 1/2.

        Returns
        -------
        Tensor of bool, shape `gate_size`
            True where the median gate is above 0.
        """
        return self.gates_at(0.0).to(self.qz_logits.dtype) > 0

    def get_num_active(self) -> int:
        """Return the number of gates that are open in evaluation mode.

        Returns
        -------
        int
            The number of True in :meth:`get_open`.
        """
        return int(self.get_open().sum())

    @torch.no_grad()
    def get_sparsity(self) -> float:
        """Return the expected share of gates that are 0.

        Returns
        -------
        float
            Between 0 (all open) and 1 (all closed).
        """
        return 1.0 - float(self.get_active_prob().mean())

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return (
            f"gate_size={self.gate_size}, temperature={self.temperature}, "
            f"stretch={self.stretch}, init_mean={self.init_mean}"
        )

    def _check_axes(self, input_shape: Sequence[int]) -> None:
        pairs = list(zip(self.gate_size, input_shape, strict=False))
        if len(pairs) < len(self.gate_size) or any(own not in (1, size) for own, size in pairs):
            raise ValueError(
                f"`input_shape` is {tuple(input_shape)}, and its first axes must be those of the "
                f"gates, {self.gate_size}; transpose the input, or call the gates without "
                "`input_shape` to multiply its last axes"
            )

    @property
    def _log_alpha(self) -> Tensor:
        return at_least_float32(self.qz_logits)

    def gates_at(self, noise: Tensor | float) -> Tensor:
        """Return the gates for given noise, in any mode; noise 0 gives the medians.

        Parameters
        ----------
        noise : Tensor of shape `gate_size`, or float
            log u - log(1 - u), as `logistic_noise` draws it.

        Returns
        -------
        Tensor, shape `gate_size`
            In [0, 1], in float32 or better.
        """
        return hard_concrete(self._log_alpha, noise, self.temperature, self.gamma, self.zeta)
