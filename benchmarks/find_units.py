"""The time that `l0.sparsify` takes to find the units of transformers, by their number of blocks.

    .venv/bin/python benchmarks/find_units.py                # ViT-S/16 at 224 px, and a Llama shape
    .venv/bin/python benchmarks/find_units.py --blocks 1 2   # fewer blocks

Seconds are those of the processor, on one thread: recording and searching the pass (`find`), the
trials on copies (`try`), and both (`sum`).
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l0.networks.graph.dependencies import find_units
from l0.networks.pruning.verification import verified


class Block(nn.Module):
    """A block with one layer for queries, keys and values, as `timm` has it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        b, n, _ = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.proj(heads.transpose(1, 2).reshape(b, n, -1))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ViT(nn.Module):
    """ViT-S/16 at 224 px, with any number of blocks."""

    def __init__(self, blocks: int, width: int = 384, heads: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 197, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


class LlamaBlock(nn.Module):
    """Root mean square norms, rotated queries and keys, a gated feed-forward part."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return the outputs."""
        y = self.norm1(x)
        q, k, v = (
            layer(y).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        q, k = (t * cos + t.roll(self.head_dim // 2, -1) * sin for t in (q, k))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(heads.transpose(1, 2).flatten(2))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """A Llama shape of width 512 with a vocabulary of 32,000."""

    def __init__(self, blocks: int, width: int = 512, heads: int = 8) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(32_000, width), nn.RMSNorm(width)
        self.blocks = nn.ModuleList(LlamaBlock(width, heads, 1376) for _ in range(blocks))
        self.head = nn.Linear(width, 32_000, bias=False)
        self.register_buffer("angle", torch.arange(64)[:, None] * torch.rand(width // heads))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the outputs."""
        x, angle = self.embed(tokens), self.angle[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, angle.cos(), angle.sin())
        return self.head(self.norm(x))


MODELS = {
    "ViT-S/16, 224 px": (ViT, lambda: torch.randn(1, 3, 224, 224)),
    "Llama, width 512": (Llama, lambda: torch.randint(0, 32_000, (1, 16))),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 2, 4, 8, 12])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | blocks | groups | find (s) | try (s) | sum (s) |\n|---|--:|--:|--:|--:|--:|")
    for name in options.models:
        make, inputs = MODELS[name]
        for blocks in options.blocks:
            torch.manual_seed(0)
            model, x = make(blocks), inputs()
            start = time.process_time()
            structure = find_units(model, x)
            found = time.process_time()
            structure = verified(model, x, structure)
            done = time.process_time()
            seconds = (found - start, done - found, done - start)
            row = " | ".join(f"{s:.1f}" for s in seconds)
            print(f"| {name} | {blocks} | {len(structure.groups)} | {row} |", flush=True)


if __name__ == "__main__":
    main()
