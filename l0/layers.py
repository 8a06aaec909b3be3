"""Layers with hard-concrete gates on weights (Louizos, Welling & Kingma, arXiv:1712.01312)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l0.common.validation import whole_number
from l0.hard_concrete import HardConcrete
from l0.penalties import get_sparsity_stats, sum_of_squares, sum_over_modules

__all__ = ["L0Conv2d", "L0DepthwiseConv2d", "L0Linear", "SparseMLP", "prune_model"]


class _GatedLayer(nn.Module):
    """A layer with a gate on each entry of its weight; if structured, on each output channel.

    In training mode every forward pass draws new gates, once for the whole batch. In evaluation
    mode the gates are the medians.
    """

    structured: bool
    weight_gates: HardConcrete
    channel_gates: HardConcrete
    #: The number of weights that one gate multiplies.
    weights_per_gate: int

    def _add_gates(self, weight: Tensor, temperature: float, init_sparsity: float) -> None:
        if not 0 < init_sparsity < 1:
            raise ValueError(
                f"`init_sparsity` must lie strictly between 0 and 1, got {init_sparsity}: the "
                "gates start at the logit of 1 - `init_sparsity`; use 0.001, say, for gates that "
                "start open"
            )
        channels, per_channel = len(weight), math.prod(weight.shape[1:])
        columns = None if self.structured else per_channel
        gates = HardConcrete(channels, columns, temperature, init_mean=1 - init_sparsity)
        self.add_module("channel_gates" if self.structured else "weight_gates", gates)
        self.weights_per_gate = per_channel if self.structured else 1

    @property
    def _gates(self) -> HardConcrete:
        return self.channel_gates if self.structured else self.weight_gates

    def _gated(self, weight: Tensor) -> Tensor:
        return weight * _spread(self._gates(), weight)

    def get_l0_penalty(self) -> Tensor:
        """Return the expected number of open gates, differentiable.

        Returns
        -------
        Tensor, shape ()
            The expected number of open weights, or of open channels if structured.
        """
        return self._gates.get_penalty()

    def get_sparsity(self) -> float:
        """Return the expected share of closed gates.

        Returns
        -------
        float
            Between 0 (all open) and 1 (all closed).
        """
        return self._gates.get_sparsity()


class _WeightLayer(_GatedLayer):
    """A gated layer with a weight and a bias of its own."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    use_l2: bool

    def _add_weight(self, shape: tuple[int, ...], bias: bool) -> None:
        self.weight = nn.Parameter(torch.empty(shape))
        self.register_parameter("bias", nn.Parameter(torch.empty(shape[0])) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight from N(0, 2 / fan_out), and set the bias to 0; leave the gates alone."""
        nn.init.kaiming_normal_(self.weight, mode="fan_out")
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def get_l2_penalty(self) -> Tensor:
        """Return the sum of the squared weights, differentiable; 0 without `use_l2`.

        Returns
        -------
        Tensor, shape ()
            In float32 or better.
        """
        if not self.use_l2:
            return torch.zeros((), device=self.weight.device)
        return sum_of_squares(self.weight)


class L0Linear(_WeightLayer):
    r"""Linear layer with a gate on every weight.

    .. math::
        y = x (W \odot z)^\top + b

    with hard-concrete gates z. In training mode they are one sample for the whole batch, in
    evaluation mode the medians.

    Parameters
    ----------
    in_features, out_features : int
        The sizes of x and y along their last axis.
    bias : bool, default True
        Whether there is a b.
    temperature : float, default 0.5
        The temperature of the gates.
    init_sparsity : float, default 0.5
        Strictly between 0 and 1. The gates start with ``init_mean = 1 - init_sparsity``. This is
        *not* the share of closed gates. That is lower: 0.23 at the defaults (see
        :class:`HardConcrete`).
    use_l2 : bool, default False
        Whether :meth:`get_l2_penalty` counts the weight; without it, the penalty is 0.

    Attributes
    ----------
    weight : nn.Parameter, shape (out_features, in_features)
        W, without the gates.
    bias : nn.Parameter, shape (out_features,), or None
        b; it has no gates.
    weight_gates : HardConcrete
        Gates of shape (out_features, in_features).

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    Closing single weights makes a network smaller on disk, but hardly ever faster. To remove whole
    channels, use :func:`l0.sparsify`.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0Linear
    >>> layer = L0Linear(3, 2)
    >>> layer(torch.ones(5, 3)).shape
    torch.Size([5, 2])

    All six gates start alike, with P(open) = 0.77:

    >>> round(layer.get_l0_penalty().item(), 2), round(layer.get_sparsity(), 2)
    (4.61, 0.23)
    """

    structured = False

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        temperature: float = 0.5,
        init_sparsity: float = 0.5,
        use_l2: bool = False,
    ) -> None:
        super().__init__()
        self.in_features = whole_number(in_features, "in_features", 1)
        self.out_features = whole_number(out_features, "out_features", 1)
        self.use_l2 = use_l2
        self._add_weight((self.out_features, self.in_features), bias)
        self._add_gates(self.weight, temperature, init_sparsity)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the gated weight.

        Parameters
        ----------
        input : Tensor, shape (..., in_features)
            x.

        Returns
        -------
        Tensor, shape (..., out_features)
            y.
        """
        return F.linear(input, self._gated(self.weight), self.bias)

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class L0Conv2d(_WeightLayer):
    """2-D convolution with a gate on every weight, or on every output channel.

    Parameters
    ----------
    in_channels, out_channels : int
        The numbers of channels.
    kernel_size, stride, padding : int or pair of int, default stride 1 and padding 0
        Along height and width. `padding` may also be "valid" or, at stride 1, "same".
    bias : bool, default True
        Whether each output channel has a bias. A closed channel still outputs its bias.
    temperature : float, default 0.5
        The temperature of the gates.
    init_sparsity : float, default 0.5
        Strictly between 0 and 1. The gates start with ``init_mean = 1 - init_sparsity``. This is
        *not* the share of closed gates. That is lower: 0.23 at the defaults (see
        :class:`HardConcrete`).
    structured : bool, default False
        Whether each output channel has one gate, instead of each weight.
    use_l2 : bool, default False
        Whether :meth:`get_l2_penalty` counts the weight; without it, the penalty is 0.

    Attributes
    ----------
    weight : nn.Parameter, shape (out_channels, in_channels, height, width)
        The filters, without the gates.
    bias : nn.Parameter, shape (out_channels,), or None
        It has no gates.
    weight_gates : HardConcrete
        Gates of shape (out_channels, in_channels * height * width); only if not structured.
    channel_gates : HardConcrete
        Gates of shape (out_channels,); only if structured.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    A gate on each of four output channels. Close the first one: its output is its bias.

    >>> import torch
    >>> from l0 import L0Conv2d
    >>> layer = L0Conv2d(3, 4, kernel_size=3, padding=1, structured=True).eval()
    >>> with torch.no_grad():
    ...     _ = layer.channel_gates.qz_logits.copy_(torch.tensor([-9.0, 9.0, 9.0, 9.0]))
    ...     y = layer(torch.ones(2, 3, 8, 8))
    >>> y.shape
    torch.Size([2, 4, 8, 8])
    >>> bool((y[:, 0] == layer.bias[0]).all())
    True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        bias: bool = True,
        temperature: float = 0.5,
        init_sparsity: float = 0.5,
        structured: bool = False,
        use_l2: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = whole_number(in_channels, "in_channels", 1)
        self.out_channels = whole_number(out_channels, "out_channels", 1)
        self.kernel_size = _pair(kernel_size, "kernel_size", 1)
        self.stride = _pair(stride, "stride", 1)
        self.padding = _padding(padding, self.stride)
        self.structured = structured
        self.use_l2 = use_l2
        self._add_weight((self.out_channels, self.in_channels, *self.kernel_size), bias)
        self._add_gates(self.weight, temperature, init_sparsity)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the gated filters.

        Parameters
        ----------
        input : Tensor, shape (batch, in_channels, height, width)
            The batch axis may be left out.

        Returns
        -------
        Tensor, shape (batch, out_channels, height, width)
            Of the size that `torch.nn.Conv2d` gives.
        """
        return F.conv2d(input, self._gated(self.weight), self.bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding!r}, bias={self.bias is not None}, "
            f"structured={self.structured}"
        )


class L0DepthwiseConv2d(_GatedLayer):
    """2-D convolution of each channel with a filter of its own, and a gate on each channel.

    Parameters
    ----------
    in_channels : int
        The number of channels of the input and of the output.
    kernel_size, stride, padding : int or pair of int, default stride 1 and padding 0
        Along height and width. `padding` may also be "valid" or, at stride 1, "same".
    bias : bool, default True
        Whether each channel has a bias. A closed channel still outputs its bias.
    temperature : float, default 0.5
        The temperature of the gates.
    init_sparsity : float, default 0.5
        Strictly between 0 and 1. The gates start with ``init_mean = 1 - init_sparsity``. This is
        *not* the share of closed gates. That is lower: 0.23 at the defaults (see
        :class:`HardConcrete`).

    Attributes
    ----------
    depthwise_conv : nn.Conv2d
        Holds the filters, `weight` of shape (in_channels, 1, height, width), and the `bias`.
    channel_gates : HardConcrete
        Gates of shape (in_channels,).

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0DepthwiseConv2d
    >>> layer = L0DepthwiseConv2d(4, kernel_size=3)
    >>> layer(torch.ones(2, 4, 8, 8)).shape
    torch.Size([2, 4, 6, 6])
    >>> layer.channel_gates().shape
    torch.Size([4])
    """

    structured = True

    def __init__(
        self,
        in_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        bias: bool = True,
        temperature: float = 0.5,
        init_sparsity: float = 0.5,
    ) -> None:
        super().__init__()
        self.in_channels = whole_number(in_channels, "in_channels", 1)
        self.kernel_size = _pair(kernel_size, "kernel_size", 1)
        self.stride = _pair(stride, "stride", 1)
        self.padding = _padding(padding, self.stride)
        self.depthwise_conv = nn.Conv2d(
            self.in_channels, self.in_channels, self.kernel_size, self.stride, self.padding,
            groups=self.in_channels, bias=bias,
        )  # fmt: skip
        self._add_gates(self.depthwise_conv.weight, temperature, init_sparsity)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the gated filters.

        Parameters
        ----------
        input : Tensor, shape (batch, in_channels, height, width)
            The batch axis may be left out.

        Returns
        -------
        Tensor, shape (batch, in_channels, height, width)
            Of the size that `torch.nn.Conv2d` gives.
        """
        conv = self.depthwise_conv
        # Multiply the filters rather than the input: they are smaller.
        return F.conv2d(
            input, self._gated(conv.weight), conv.bias, self.stride, self.padding,
            groups=self.in_channels,
        )  # fmt: skip


class SparseMLP(nn.Module):
    """A perceptron of three :class:`L0Linear` layers with ReLU between them.

    Parameters
    ----------
    input_dim, hidden_dim, output_dim : int, default 784, 256 and 10
        The sizes of the input, of both hidden layers, and of the output.
    init_sparsity, temperature, use_l2
        As in :class:`L0Linear`, for all three layers.

    Attributes
    ----------
    fc1, fc2, fc3 : L0Linear
        The layers.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> from l0 import SparseMLP
    >>> model = SparseMLP(input_dim=6, hidden_dim=5, output_dim=2)
    >>> logits = model(torch.ones(3, 6))
    >>> logits.shape
    torch.Size([3, 2])
    >>> loss = logits.square().mean() + 1e-3 * model.get_l0_loss()
    >>> {name: row["total_params"] for name, row in model.get_sparsity_stats().items()}
    {'fc1': 30, 'fc2': 25, 'fc3': 10}
    """

    def __init__(
        self,
        input_dim: int = 784,
        hidden_dim: int = 256,
        output_dim: int = 10,
        init_sparsity: float = 0.5,
        temperature: float = 0.5,
        use_l2: bool = False,
    ) -> None:
        super().__init__()
        self.use_l2 = use_l2
        options: dict[str, Any] = {
            "init_sparsity": init_sparsity,
            "temperature": temperature,
            "use_l2": use_l2,
        }
        sizes = {"input_dim": input_dim, "hidden_dim": hidden_dim, "output_dim": output_dim}
        for name, size in sizes.items():
            whole_number(size, name, 1)
        self.fc1 = L0Linear(input_dim, hidden_dim, **options)
        self.fc2 = L0Linear(hidden_dim, hidden_dim, **options)
        self.fc3 = L0Linear(hidden_dim, output_dim, **options)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs before any softmax.

        Parameters
        ----------
        x : Tensor, shape (batch, ...)
            The axes after the first are flattened; they hold `input_dim` numbers.

        Returns
        -------
        Tensor, shape (batch, output_dim)
            Logits.
        """
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits

    def get_l0_loss(self) -> Tensor:
        """Return the expected number of open gates in all layers, differentiable.

        Returns
        -------
        Tensor, shape ()
            Not yet multiplied by any lambda.
        """
        return sum_over_modules(self, "get_l0_penalty")

    def get_l2_loss(self) -> Tensor:
        """Return the sum of the squared weights of all layers; 0 without `use_l2`.

        Returns
        -------
        Tensor, shape ()
            Not yet multiplied by any lambda.
        """
        return sum_over_modules(self, "get_l2_penalty")

    def get_sparsity_stats(self) -> dict[str, dict[str, float]]:
        """Return how sparse each layer is; see :func:`l0.get_sparsity_stats`.

        Returns
        -------
        dict of str to dict
            A row for each of `fc1`, `fc2` and `fc3`.
        """
        return get_sparsity_stats(self)


@torch.no_grad()
def prune_model(model: nn.Module, threshold: float = 0.05) -> nn.Module:
    """Set weights to 0 if their gates are hardly ever open, and switch to evaluation mode.

    The filter of a closed channel becomes 0. Its bias stays, so the channel is a constant.

    Parameters
    ----------
    model : nn.Module
        Changed in place. All its layers are pruned that have a `weight` and a :class:`HardConcrete`
        called `weight_gates` or `channel_gates`, as the layers of this module have.
    threshold : float, default 0.05
        From 0 to 1. A weight becomes 0 if its P(open) is at most this. In evaluation mode a gate is
        closed if P(open) <= 1/2, so a threshold of at most 1/2 does not change what a layer
        computes.

    Returns
    -------
    nn.Module
        The same model.

    Raises
    ------
    ValueError
        If `threshold` is not between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0Linear, prune_model
    >>> layer = L0Linear(2, 2)
    >>> with torch.no_grad():
    ...     _ = layer.weight_gates.qz_logits.copy_(torch.tensor([[-9.0, 9.0], [9.0, -9.0]]))
    >>> prune_model(layer).weight == 0
    tensor([[ True, False],
            [False,  True]])
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"`threshold` must lie between 0 and 1, got {threshold!r}")
    model.eval()
    for module in model.modules():
        gates = getattr(module, "weight_gates", getattr(module, "channel_gates", None))
        weight = getattr(getattr(module, "depthwise_conv", module), "weight", None)
        if isinstance(gates, HardConcrete) and isinstance(weight, Tensor):
            weight.masked_fill_(_spread(gates.get_active_prob() <= threshold, weight), 0)
    return model


def _spread(per_gate: Tensor, weight: Tensor) -> Tensor:
    """Reshape values of the gates so that they multiply a weight: by entry, or by channel."""
    if per_gate.ndim == 1:
        return per_gate.reshape(-1, *[1] * (weight.ndim - 1))
    return per_gate.reshape(weight.shape)


def _pair(value: int | tuple[int, int], argument: str, least: int) -> tuple[int, int]:
    try:
        height, width = value if isinstance(value, tuple | list) else (value, value)
        return whole_number(height, argument, least), whole_number(width, argument, least)
    except ValueError:
        raise ValueError(
            f"`{argument}` must be an integer of at least {least}, or a pair of them, got {value!r}"
        ) from None


def _padding(value: int | tuple[int, int] | str, stride: tuple[int, int]) -> tuple[int, int] | str:
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f"`padding` is {value!r}; pass an integer, a pair, 'same' or 'valid'")
        if value == "same" and stride != (1, 1):
            raise ValueError(
                f"`padding` 'same' needs `stride` 1, got {stride}; pass an integer or a pair"
            )
        return value
    return _pair(value, "padding", 0)
