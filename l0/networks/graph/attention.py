"""Attention that can lose heads: nn.MultiheadAttention as four linear layers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import zip_longest
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """The function of nn.MultiheadAttention, with any number of heads of any width.

    nn.MultiheadAttention divides the width of the model by the number of heads, so it cannot have
    fewer heads of the same size; and it packs three projections into one weight. Here each
    projection is a linear layer, and the width of a head follows from its outputs. The module is
    called in the same way, so nn.TransformerEncoderLayer and similar modules can contain it.

    Parameters
    ----------
    attention : nn.MultiheadAttention
        The module whose weights the new module takes. Packed weights are copied.

    Notes
    -----
    In evaluation mode, torch's transformer layers use a fast path, which does not call the modules
    inside them. They do so only if attention is packed, so with this module they compute in
    evaluation mode what they compute in training mode. (The fast path also writes zeros where
    `src_key_padding_mask` is True; here these entries keep their computed values.)

    Examples
    --------
    >>> import torch
    >>> from l0.networks import Attention
    >>> _ = torch.manual_seed(0)
    >>> packed = torch.nn.MultiheadAttention(embed_dim=8, num_heads=2)
    >>> attention = Attention(packed)
    >>> attention
    Attention(
      num_heads=2, batch_first=False
      (q_proj): Linear(in_features=8, out_features=8, bias=True)
      (k_proj): Linear(in_features=8, out_features=8, bias=True)
      (v_proj): Linear(in_features=8, out_features=8, bias=True)
      (out_proj): NonDynamicallyQuantizableLinear(in_features=8, out_features=8, bias=True)
    )
    >>> x = torch.randn(5, 3, 8)
    >>> torch.allclose(attention(x, x, x)[0], packed(x, x, x)[0], atol=1e-6)
    True
    """

    # torch's transformer layers look at these before they use their fast path.
    in_proj_bias = None
    _qkv_same_embed_dim = False

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.dropout = attention.dropout
        self.batch_first = attention.batch_first
        weights = _thirds(attention.in_proj_weight) or [
            attention.q_proj_weight,
            attention.k_proj_weight,
            attention.v_proj_weight,
        ]
        biases = _thirds(attention.in_proj_bias)
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(weight, bias) for weight, bias in zip_longest(weights, biases)
        )
        self.out_proj = attention.out_proj
        self.train(attention.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute attention; arguments and results are those of nn.MultiheadAttention.

        Raises
        ------
        ValueError
            If `attn_mask` has one mask for each head, but their number is not the number of heads;
            or if `is_causal` is set without a mask.
        """
        if is_causal and attn_mask is None:
            raise ValueError("`is_causal` says that `attn_mask` is causal; give that mask too")
        batched = query.dim() == 3
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (
            project(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project, x in (
                (self.q_proj, query),
                (self.k_proj, key),
                (self.v_proj, value),
            )
        )
        dropout = self.dropout if self.training else 0.0
        weights: Tensor | None = None
        if need_weights:
            mask = self._mask(q, attn_mask, key_padding_mask)
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
            heads = weights @ v
        elif is_causal and key_padding_mask is None:
            heads = F.scaled_dot_product_attention(q, k, v, None, dropout, is_causal=True)
        else:
            mask = self._mask(q, attn_mask, key_padding_mask)
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        out = self.out_proj(heads.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _mask(self, q: Tensor, attn_mask: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """Combine the masks into one mask that is added to the scores."""
        parts = []
        if attn_mask is not None:
            if attn_mask.dim() == 3:
                n = len(q) * self.num_heads
                if len(attn_mask) != n:
                    raise ValueError(
                        f"`attn_mask` has {len(attn_mask)} masks for {len(q)} x {self.num_heads} "
                        "heads; give one of shape (L, S) for all heads"
                    )
                attn_mask = attn_mask.unflatten(0, (len(q), self.num_heads))
            parts.append(attn_mask)
        if padding is not None:
            parts.append(padding[:, None, None, :])
        added = [
            torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, -torch.inf)
            if mask.dtype == torch.bool
            else mask
            for mask in parts
        ]
        return added[0] + added[1] if len(added) == 2 else added[0] if added else None

    def extra_repr(self) -> str:
        """Return the settings, which printing shows."""
        return f"num_heads={self.num_heads}, batch_first={self.batch_first}"


def can_open(model: nn.Module) -> bool:
    """Tell whether :func:`open_attention` would change a model."""
    return bool(_packed(model))


def open_attention(model: nn.Module) -> nn.Module:
    """Replace each nn.MultiheadAttention inside a model by an equal :class:`Attention`.

    Some stay as they are: those with additional keys (`add_bias_kv`, `add_zero_attn`), those with
    hooks, those with shared or computed weights, subclasses, and those that a list or another plain
    attribute holds too: code would go on to call these.

    Parameters
    ----------
    model : nn.Module
        The model; it is changed in place.

    Returns
    -------
    nn.Module
        The same model.
    """
    opened = {id(module): Attention(module) for module in _packed(model)}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if id(module) in opened:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, opened[id(module)])
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder) and any(
            isinstance(part, Attention) for part in module.modules()
        ):
            module.use_nested_tensor = False  # only the fast path accepts nested tensors
    return model


def _packed(model: nn.Module) -> list[nn.MultiheadAttention]:
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    held = _held_in_attributes(model)
    return [
        module
        for name, module in model.named_modules()
        if name
        # No subclasses: they may compute something else, and computed weights make a subclass.
        and type(module) is nn.MultiheadAttention
        and module.bias_k is None
        and not module.add_zero_attn
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and all(owners[id(p)] == 1 for p in module.parameters())
        and id(module) not in held
    ]


def _held_in_attributes(model: nn.Module) -> set[int]:
    """Find the modules in lists, dicts and other attributes that are not registered."""
    held: set[int] = set()
    for module in model.modules():
        for name, value in vars(module).items():
            if name != "_modules":
                held |= {id(one) for one in _modules_in(value, set())}
    return held


def _modules_in(value: object, seen: set[int]) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        parts: Iterable[object] = ()
        if isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            parts = value
        elif isinstance(value, partial):
            parts = (value.args, value.keywords)
        elif isinstance(value, SimpleNamespace):
            parts = vars(value).values()
        for part in list(parts):
            yield from _modules_in(part, seen)


def _thirds(packed: nn.Parameter | None) -> list[nn.Parameter]:
    """Split a packed parameter into those of queries, keys and values."""
    if packed is None:
        return []
    parts = packed.detach().chunk(3)
    return [nn.Parameter(part.clone(), requires_grad=packed.requires_grad) for part in parts]


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    linear.weight = weight
    if bias is not None:
        linear.bias = bias
    return linear
