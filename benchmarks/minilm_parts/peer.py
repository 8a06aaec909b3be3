"""The cut of Torch-Pruning: heads and feed-forward units by the magnitude of their weights."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch_pruning
from torch import nn

from minilm_parts.encoder import Batch
from minilm_parts.figures import Limit, linear_macs


def cut(model: nn.Module, example: Batch, limit: Limit, everywhere: bool) -> nn.Module:
    """Return the largest cut within a share of the multiply-adds of the linear layers.

    It is uniform, or ranks the units of all layers together (`everywhere`). The width of the
    residual stream stays, since it is that of the embedding. A limit of the time is left out.
    """
    most = limit.macs * linear_macs(model)
    low, high = 0.0, 0.95
    best = None
    for _ in range(10):
        middle = (low + high) / 2
        small = _pruned(model, example, middle, everywhere, limit.round_to)
        if linear_macs(small) <= most:
            high, best = middle, small
        else:
            low = middle
    if best is None:
        raise SystemExit(
            f"Torch-Pruning cuts this model down to no less than {linear_macs(small) / most:.1f} "
            f"times {limit}; pass a larger --budgets, or --no-peer"
        )
    return best


def _pruned(
    model: nn.Module, example: Batch, ratio: float, everywhere: bool, round_to: int
) -> nn.Module:
    small = deepcopy(model).requires_grad_(True)
    stays = [
        layer
        for name, layer in small.named_modules()
        if isinstance(layer, (nn.Linear, nn.Embedding)) and not name.endswith(_CUT)
    ]
    attention = [m for name, m in small.named_modules() if name.endswith("attention.self")]
    heads = small.config.num_attention_heads
    with torch.enable_grad():
        torch_pruning.pruner.BasePruner(
            small,
            example,
            torch_pruning.importance.GroupMagnitudeImportance(),
            global_pruning=everywhere,
            pruning_ratio=ratio,
            max_pruning_ratio=0.95,
            head_pruning_ratio=ratio,
            prune_num_heads=True,
            prune_head_dims=False,
            num_heads={layer: heads for m in attention for layer in (m.query, m.key, m.value)},
            ignored_layers=stays,
            round_to=round_to if round_to > 1 else None,
        ).step()
    trained = {name for name, param in model.named_parameters() if param.requires_grad}
    for name, param in small.named_parameters():
        param.requires_grad_(name in trained)
    return small


_CUT = (".query", ".key", ".value", ".intermediate.dense")
