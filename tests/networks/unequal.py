"""Networks whose groups of units agree only in some numbers, or only where a check may not look."""

import torch
from torch import nn
from torch.nn import functional as F


class Chunked(nn.Module):
    """Halves of one layer, concatenated with a branch of one of them."""

    def __init__(self, n_parts=2, norm=False):
        super().__init__()
        self.n_parts = n_parts
        self.first = nn.Conv2d(3, 8 * n_parts, 1)
        self.norm = nn.BatchNorm2d(8 * n_parts) if norm else nn.Identity()
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8 * (n_parts + 1), 4, 1)

    def forward(self, x):
        *parts, b = F.silu(self.norm(self.first(x))).chunk(self.n_parts, 1)
        return self.last(torch.cat([*parts, b, b + self.branch(b)], 1))


class SharedCount(nn.Module):
    """Attentions that share one number of heads."""

    def __init__(self, n=2, width=12, heads=4, head_dim=2):
        super().__init__()
        self.num_heads = heads
        inner = heads * head_dim
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * inner) for _ in range(n))
        self.out = nn.ModuleList(nn.Linear(inner, width) for _ in range(n))

    def attend(self, x, qkv, out):
        parts = qkv(x).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3) for t in parts)
        return out(F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2))

    def forward(self, x):
        for qkv, out in zip(self.qkv, self.out, strict=True):
            x = x + self.attend(x, qkv, out)
        return x


class Stacked(nn.Module):
    """Branches that are stacked, so that they need equal widths."""

    def __init__(self, n=2, total=False):
        super().__init__()
        self.branches = nn.ModuleList(nn.Linear(5, 8) for _ in range(n))
        self.last, self.total = nn.Linear(8 if total else 8 * n, 3), total

    def forward(self, x):
        stacked = torch.stack([F.gelu(branch(x)) for branch in self.branches], 1)
        return self.last(stacked.flatten(1) if not self.total else stacked.prod(1))


class Shuffled(nn.Module):
    """Two branches, concatenated and shuffled by a fixed rule."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Linear(5, 12), nn.Linear(5, 12), nn.Linear(24, 3)

    def forward(self, x):
        x = torch.cat([self.a(x), self.b(x)], 1).relu()
        return self.last(x.unflatten(1, (4, 6)).transpose(1, 2).flatten(1))


class Squeezed(nn.Module):
    """A number of channels that the code divides by."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.last(F.relu(self.b(x)).mean((2, 3)) * (8 / x.shape[1]))


def t5(layers=2):
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=layers, num_heads=4,
        decoder_start_token_id=0,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def t5_inputs():
    tokens = torch.randint(2, 64, (2, 7))
    return {"input_ids": tokens, "decoder_input_ids": tokens[:, :5]}


UNEQUAL = {
    "chunk": (Chunked, lambda: torch.randn(2, 3, 5, 5)),
    "chunk of three": (lambda: Chunked(3, norm=True), lambda: torch.randn(2, 3, 5, 5)),
    "one count of heads": (SharedCount, lambda: torch.randn(2, 6, 12)),
    "one count for three": (lambda: SharedCount(3, heads=3), lambda: torch.randn(2, 6, 12)),
    "stack": (Stacked, lambda: torch.randn(4, 5)),
    "stack of three": (lambda: Stacked(3), lambda: torch.randn(4, 5)),
    "t5": (t5, t5_inputs),
}

#: What gets gates: the number of units of each group.
UNITS = {
    "chunk": [8],
    "chunk of three": [8],
    "one count of heads": [4],
    "one count for three": [3],
    "stack": [8],
    "stack of three": [8],
    "t5": [4, 4, 4, 64, 64, 64, 64],
}


def largest_difference(sparsifier, inputs, n=6, training=False):
    """The largest difference of gated and compact model over random sets, relative to the output.

    Each group keeps another share of its units.
    """
    from l0.networks.graph.tensors import call, tensors_in
    from l0.networks.pruning.compact import compacted

    worst = 0.0
    generator = torch.Generator().manual_seed(99)
    before = [gate.alive.clone() for gate in sparsifier.gates]
    for _ in range(n):
        for gate in sparsifier.gates:
            size = len(gate.alive)
            n_open = int(torch.randint(1, size + 1, (), generator=generator))
            gate.alive[:] = False
            gate.alive[torch.randperm(size, generator=generator)[:n_open]] = True
        keep = [gate.alive for gate in sparsifier.gates]
        small = compacted(sparsifier.model, sparsifier.structure.groups, keep)
        with torch.no_grad():
            found = [
                list(tensors_in(call(m.train(training), inputs))) for m in (sparsifier.model, small)
            ]
        for a, b in zip(*found, strict=True):
            worst = max(worst, float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)))
    for gate, alive in zip(sparsifier.gates, before, strict=True):
        gate.alive.copy_(alive)
    return worst
