"""Networks with layers beyond linear layers and convolutions, and with residual streams."""

import torch
from torch import nn
from torch.nn import functional as F


class Recurrent(nn.Module):
    """A recurrent layer whose outputs and last states are both read."""

    def __init__(self, cls=nn.LSTM, layers=1, bidirectional=False):
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.recurrent = cls(6, 8, layers, bidirectional=bidirectional, batch_first=True)
        self.outputs = nn.Linear(16 if bidirectional else 8, 7)
        self.states, self.last = nn.Linear(8, 7), nn.Linear(7, 2)

    def forward(self, x):
        y, state = self.recurrent(self.first(x))
        state = state[0] if isinstance(state, tuple) else state
        return self.last((self.outputs(y).mean(1) + self.states(state[-1])).relu())


class Steps(nn.Module):
    """A recurrent layer that is called step by step."""

    def __init__(self, cls=nn.LSTMCell, bias=True):
        super().__init__()
        self.first, self.cell, self.last = nn.Linear(5, 6), cls(6, 8, bias), nn.Linear(8, 2)

    def forward(self, x):
        state = None
        for step in self.first(x).unbind(1):
            state = self.cell(step, state)
        return self.last(state[0] if isinstance(state, tuple) else state)


class Started(nn.Module):
    """A recurrent layer or cell whose first states are learned, or made by another layer."""

    def __init__(self, cls, learned=False, width=8, **options):
        super().__init__()
        self.first, self.recurrent = nn.Linear(5, 6), cls(6, 8, **options)
        self.makes, self.last = nn.Linear(5, width), nn.Linear(width, 2)
        self.start = nn.Parameter(torch.randn(1, width)) if learned else None
        self.cell = issubclass(cls, nn.RNNCellBase)
        self.two, self.like_cells = cls in (nn.LSTM, nn.LSTMCell), width == 8

    def forward(self, x):
        steps = self.first(x).transpose(0, 1)
        start = self.makes(x[:, 0]) if self.start is None else self.start.expand(len(x), -1)
        if not self.cell:
            start = start[None].contiguous()
        state = start
        if self.two:
            cells = start.new_zeros(*start.shape[:-1], 8)  # which stay eight behind a projection
            state = (start, -start if self.like_cells else cells)
        if not self.cell:
            return self.last(self.recurrent(steps, state)[0].mean(0))
        for step in steps:
            state = self.recurrent(step, state)
        return self.last(state[0] if self.two else state)


class Zeros(nn.Module):
    """A recurrent layer whose first states are made by code that counts them."""

    def __init__(self, cls):
        super().__init__()
        self.hidden_size, self.num_layers, self.cell = 8, 2, issubclass(cls, nn.RNNCellBase)
        self.recurrent = cls(5, 8) if self.cell else cls(5, 8, self.num_layers)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        h = c = torch.zeros(len(x), self.hidden_size, dtype=x.dtype)
        if self.cell:
            for step in x.unbind(1):
                h, c = self.recurrent(step, (h, c))
            return self.last(h)
        state = tuple(t.expand(self.num_layers, -1, -1).contiguous() for t in (h, c))
        return self.last(self.recurrent(x.transpose(0, 1), state)[0].mean(0))


class Scan(nn.Module):
    """A selective scan, as in Mamba: channels that share what a layer makes of all of them."""

    def __init__(self, width=6, inner=10, states=4):
        super().__init__()
        self.enter, self.leave = nn.Linear(width, 2 * inner), nn.Linear(inner, width)
        self.conv = nn.Conv1d(inner, inner, 3, padding=2, groups=inner)
        self.shared, self.pace = nn.Linear(inner, 2 * states + 1), nn.Linear(1, inner)
        self.fade, self.skip = (
            nn.Parameter(torch.rand(inner, states)),
            nn.Parameter(torch.ones(inner)),
        )

    def forward(self, x):
        length, n = x.shape[1], self.fade.shape[1]
        x, gate = self.enter(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., :length].transpose(1, 2))
        pace, write, read = self.shared(x).split([1, n, n], -1)
        pace, state, y = F.softplus(self.pace(pace)), x.new_zeros(len(x), x.shape[-1], n), []
        for t in range(length):
            state = torch.exp(-pace[:, t, :, None] * self.fade) * state
            state = state + (pace[:, t] * x[:, t])[..., None] * write[:, t, None]
            y.append((state * read[:, t, None]).sum(-1))
        return self.leave((torch.stack(y, 1) + x * self.skip) * F.silu(gate))


class Projected(nn.Module):
    """Attention with layers of their own for queries, keys and values."""

    def __init__(self, width=12, heads=3, head_dim=4):
        super().__init__()
        self.num_heads, self.head_dim, self.all_head_size = heads, head_dim, heads * head_dim
        self.q, self.k, self.v = (nn.Linear(width, self.all_head_size) for _ in range(3))
        self.out = nn.Linear(self.all_head_size, width)

    def forward(self, x):
        q, k, v = (f(x).view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
                   for f in (self.q, self.k, self.v))  # fmt: skip
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], self.all_head_size))


class Handed(nn.Module):
    """An encoder with projections, whose states are the first ones of a decoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = (nn.LSTM(5, 8, proj_size=n) for n in (4, 4))
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        _, state = self.encoder(x.transpose(0, 1))
        return self.last(self.decoder(x.transpose(0, 1), state)[0].mean(0))


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics and parameters are buffers."""

    def __init__(self, n):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(n) + 0.5)

    def forward(self, x):
        scale = self.weight * self.running_var.rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


class GRN(nn.Module):
    """Global response norm of ConvNeXt V2."""

    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(1, 1, 1, n))
        self.beta = nn.Parameter(torch.randn(1, 1, 1, n))

    def forward(self, x):
        size = x.norm(dim=(1, 2), keepdim=True)
        return self.gamma * (x * (size / (size.mean(-1, keepdim=True) + 1e-6))) + self.beta + x


class ConvNeXt(nn.Module):
    """A block of ConvNeXt V2, with a scale of its own."""

    def __init__(self, n=8, hidden=20):
        super().__init__()
        self.stem, self.depth = nn.Conv2d(3, n, 2, 2), nn.Conv2d(n, n, 3, padding=1, groups=n)
        self.norm, self.grn = nn.LayerNorm(n), GRN(hidden)
        self.up, self.down = nn.Linear(n, hidden), nn.Linear(hidden, n)
        self.scale, self.head = nn.Parameter(torch.randn(n)), nn.Linear(n, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(self.grn(F.gelu(self.up(y))))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


class Window(nn.Module):
    """Attention with a table of biases for relative positions, as in Swin."""

    def __init__(self, width=12, heads=4, head_dim=3, n=6):
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * heads * head_dim), nn.Linear(12, width)
        self.relative_position_bias_table = nn.Parameter(torch.randn(2 * n - 1, heads))
        at = torch.arange(n)
        self.register_buffer("relative_position_index", at[:, None] - at + n - 1)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        scores = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5 + bias
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class PlainExperts(nn.Module):
    """Experts as weights of three axes."""

    def __init__(self, n=3, width=10, hidden=8):
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(n, 2 * hidden, width) / 3)
        self.down_proj = nn.Parameter(torch.randn(n, width, hidden) / 3)

    def forward(self, x, chosen, weights):
        out = torch.zeros_like(x)
        for i in range(len(self.gate_up_proj)):
            row, place = torch.where(chosen == i)
            gate, up = F.linear(x[row], self.gate_up_proj[i]).chunk(2, -1)
            y = F.linear(F.silu(gate) * up, self.down_proj[i]) * weights[row, place, None]
            out = out.index_add(0, row, y)
        return out


class Routed(nn.Module):
    """A mixture of experts."""

    def __init__(self):
        super().__init__()
        self.first, self.router = nn.Linear(5, 10), nn.Linear(10, 3)
        self.experts, self.last = PlainExperts(), nn.Linear(10, 2)

    def forward(self, x):
        x = self.first(x)
        weights, chosen = self.router(x).softmax(-1).topk(2, -1)
        return self.last(x + self.experts(x, chosen, weights))


class Rotary(nn.Module):
    """Grouped-query attention as Llama's own code spells it."""

    def __init__(self, width=12, heads=4, kv_heads=2, head_dim=4):
        super().__init__()
        self.n_local_heads, self.n_local_kv_heads = heads, kv_heads
        self.n_rep, self.head_dim = heads // kv_heads, head_dim
        self.wq = nn.Linear(width, heads * head_dim, bias=False)
        self.wk = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.wv = nn.Linear(width, kv_heads * head_dim, bias=False)
        self.wo = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, x):
        n, length, _ = x.shape
        q = self.wq(x).view(n, length, self.n_local_heads, self.head_dim)
        k = self.wk(x).view(n, length, self.n_local_kv_heads, self.head_dim)
        v = self.wv(x).view(n, length, self.n_local_kv_heads, self.head_dim)
        k, v = (t.repeat_interleave(self.n_rep, 2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        y = (q @ k.transpose(2, 3) / self.head_dim**0.5).softmax(-1) @ v
        return self.wo(y.transpose(1, 2).reshape(n, length, -1))


class OneKey(nn.Module):
    """Multi-query attention: all heads of the queries share one of the keys and values."""

    def __init__(self, share, width=12, heads=4, head_dim=5):
        super().__init__()
        self.num_heads, self.n_rep, self.head_dim, self.share = heads, heads, head_dim, share
        self.q, self.k, self.v = (nn.Linear(width, n * head_dim) for n in (heads, 1, 1))
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x):
        q, k, v = (f(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
                   for f in (self.q, self.k, self.v))  # fmt: skip
        if self.share == "torch":
            y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        else:
            if self.share == "repeat":
                k, v = (t.repeat_interleave(self.n_rep, 1) for t in (k, v))
            if self.share == "expand":
                k, v = (t.expand(-1, self.num_heads, -1, -1) for t in (k, v))
            y = (q @ k.transpose(2, 3) / self.head_dim**0.5).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], self.num_heads * self.head_dim))


class Masked(nn.Module):
    """Channels that one channel weighs, and a context that all of them get."""

    def __init__(self):
        super().__init__()
        self.first, self.mask, self.places = (nn.Conv2d(3, 8, 1), nn.Conv2d(8, 1, 1),
                                              nn.Conv2d(8, 1, 1))  # fmt: skip
        self.norm, self.second = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.squeeze, self.widen, self.last = nn.Linear(8, 3), nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        x = x + self.second(x) * self.mask(x).sigmoid()
        weights = self.places(x).flatten(2).softmax(-1)
        context = (weights @ x.flatten(2).transpose(1, 2)).squeeze(1)
        x = x * F.hardsigmoid(self.widen(self.squeeze(context).relu()))[..., None, None]
        return self.last(x.mean((2, 3)))


class Divided(nn.Module):
    """Attention that divides the width of the stream by the number of heads."""

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(n, length, width))


class Split(nn.Module):
    """The same with the width as an attribute, as in nanoGPT."""

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.n_head, self.n_embd = heads, width
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.size()
        q, k, v = (
            t.view(n, length, self.n_head, width // self.n_head).transpose(1, 2)
            for t in self.c_attn(x).split(self.n_embd, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(n, length, width))


class Stream(nn.Module):
    """A residual stream with one attention and one feed-forward block."""

    def __init__(self, attention, norm=nn.LayerNorm, width=12):
        super().__init__()
        self.first, self.head = nn.Linear(5, width), nn.Linear(width, 2)
        self.norm1, self.norm2, self.norm3 = norm(width), norm(width), norm(width)
        self.attention = attention
        self.up, self.down = nn.Linear(width, 16), nn.Linear(16, width)

    def forward(self, x):
        x = self.first(x)
        x = x + self.attention(self.norm1(x))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm3(x))


def normed(norm):
    return nn.Sequential(
        nn.Linear(5, 12), norm(12), nn.ReLU(), nn.Linear(12, 10), norm(10), nn.Linear(10, 3)
    )


def frozen(norm):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(), nn.Conv2d(8, 6, 3), norm(6), nn.Conv2d(6, 3, 1)
    )


def sequence():
    return torch.randn(2, 6, 5)


def image():
    return torch.randn(2, 3, 8, 8)


#: Makers, inputs, and the number of units of each group if `residual` is True.
TAUGHT = {
    "rnn": (lambda: Recurrent(nn.RNN), sequence, [6, 8, 7]),
    "lstm": (Recurrent, sequence, [6, 8, 7]),
    "lstm, two ways": (lambda: Recurrent(nn.LSTM, 2, True), sequence, [6, 8, 7]),
    "gru, two ways": (lambda: Recurrent(nn.GRU, 1, True), sequence, [6, 8, 7]),
    "rnn, step by step": (lambda: Steps(nn.RNNCell, bias=False), sequence, [6, 8]),
    "lstm, step by step": (Steps, sequence, [6, 8]),
    "gru, step by step": (lambda: Steps(nn.GRUCell), sequence, [6, 8]),
    "rnn, learned state": (lambda: Started(nn.RNN, learned=True), sequence, [6, 8]),
    "gru, learned state": (lambda: Started(nn.GRU, learned=True), sequence, [6, 8]),
    "lstm, learned states": (lambda: Started(nn.LSTM, learned=True), sequence, [6, 8]),
    "gru, state of a layer": (lambda: Started(nn.GRU), sequence, [6, 8]),
    "lstm, states of a layer": (lambda: Started(nn.LSTM), sequence, [6, 8]),
    "rnn, step by step from a state": (lambda: Started(nn.RNNCell), sequence, [6, 8]),
    "lstm, step by step from states": (lambda: Started(nn.LSTMCell), sequence, [6, 8]),
    "gru, step by step from a state": (
        lambda: Started(nn.GRUCell, learned=True), sequence, [6, 8],
    ),
    "lstm, projected": (
        lambda: Started(nn.LSTM, width=3, proj_size=3), sequence, [6, 3],
    ),
    "lstm, projected states": (Handed, sequence, [4]),
    "lstm, states of zeros": (lambda: Zeros(nn.LSTM), sequence, [8]),
    "lstm, step by step from zeros": (lambda: Zeros(nn.LSTMCell), sequence, [8]),
    "selective scan": (lambda: Stream(Scan(12)), sequence, [12, 10, 16]),
    "three heads": (lambda: Stream(Projected()), sequence, [12, 3, 16]),
    "frozen batch norm": (lambda: frozen(FrozenBatchNorm2d), image, [8, 6]),
    "synchronised batch norm": (lambda: frozen(nn.SyncBatchNorm), image, [8, 6]),
    "layer norm": (lambda: normed(nn.LayerNorm), lambda: torch.randn(3, 5), [12, 10]),
    "rms norm": (lambda: normed(nn.RMSNorm), lambda: torch.randn(3, 5), [12, 10]),
    "convnext": (ConvNeXt, image, [8, 20]),
    "window": (lambda: Stream(Window()), sequence, [12, 4, 16]),
    "experts": (Routed, lambda: torch.randn(7, 5), [10, 8]),
    "llama's spelling": (lambda: Stream(Rotary(), nn.RMSNorm), sequence, [12, 2, 16]),
    "one key, repeated": (lambda: Stream(OneKey("repeat")), sequence, [12, 4, 16]),
    "one key, expanded": (lambda: Stream(OneKey("expand")), sequence, [12, 4, 16]),
    "one key, broadcast": (lambda: Stream(OneKey("broadcast")), sequence, [12, 4, 16]),
    "one key, by torch": (lambda: Stream(OneKey("torch")), sequence, [12, 4, 16]),
    "masked by one channel": (Masked, image, [8, 3]),
    "divided width": (lambda: Stream(Divided()), sequence, [3, 16]),
    "split width": (lambda: Stream(Split()), sequence, [3, 16]),
}  # fmt: skip
