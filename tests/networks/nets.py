"""Small networks of every sort, each with example inputs."""

import torch
from torch import nn
from torch.nn import functional as F


def mlp():
    return nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 10), nn.ReLU(), nn.Linear(10, 4)
    )


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.conv2 = nn.Conv2d(6, 8, 3)
        self.fc1 = nn.Linear(8 * 9, 20)
        self.fc2 = nn.Linear(20, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x)).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.project = None
        if stride != 1 or n_in != n_out:
            self.project = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.project is None else self.project(x)))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        Block(6, 6, 1),
        Block(6, 8, 2),
        Block(8, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def separable():
    def stage(n_in, n_out, stride):
        return [
            nn.Conv2d(n_in, n_in, 3, stride, 1, groups=n_in),
            nn.BatchNorm2d(n_in),
            nn.ReLU6(),
            nn.Conv2d(n_in, n_out, 1),
            nn.BatchNorm2d(n_out),
            nn.ReLU6(),
        ]

    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1),
        nn.ReLU(),
        *stage(6, 8, 2),
        *stage(8, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 4),
    )


class Attention(nn.Module):
    def __init__(self, width, heads, head_dim):
        super().__init__()
        self.n_heads = heads
        self.q = nn.Linear(width, heads * head_dim)
        self.k = nn.Linear(width, heads * head_dim)
        self.v = nn.Linear(width, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x):
        q, k, v = (
            f(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    def __init__(self, width, heads, head_dim, hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_dim)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, width=12, heads=3, head_dim=4, hidden=16, layers=2):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.position = nn.Parameter(torch.randn(7, width) * 0.1)
        self.layers = nn.Sequential(
            *(EncoderLayer(width, heads, head_dim, hidden) for _ in range(layers))
        )
        self.head = nn.Linear(width, 4)

    def forward(self, tokens):
        return self.head(self.layers(self.embed(tokens) + self.position).mean(1))


def image(channels):
    return lambda: torch.randn(3, channels, 12, 12)


NETS = {
    "mlp": (mlp, lambda: torch.randn(3, 12)),
    "lenet": (LeNet, image(1)),
    "resnet": (resnet, image(3)),
    "separable": (separable, image(3)),
    "transformer": (Transformer, lambda: torch.randint(0, 20, (3, 7))),
}
