"""Data of each kind, and gates as training leaves them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from l0.data.arrays import as_columns

NAMES = ["a", "b", "c", "d"]


def table(seed=0, n=400):
    generator = np.random.default_rng(seed)
    return np.exp(generator.normal(size=(n, 4)) @ generator.normal(size=(4, 4)) / 2)


def as_frame(values):
    return pd.DataFrame(values, columns=NAMES, index=np.arange(len(values))[::-1] + 100)


KINDS = {
    "torch": lambda values: torch.tensor(values, dtype=torch.float32),
    "numpy": lambda values: values,
    "pandas": as_frame,
    "polars": lambda values: pl.from_pandas(as_frame(values)),
    "pyarrow": lambda values: pa.Table.from_pandas(as_frame(values), preserve_index=False),
}
convert = pytest.mark.parametrize("convert", KINDS.values(), ids=KINDS)


def numbers(data):
    return as_columns(data, "data").values


def train(gate, n_open):
    """Give a gate logits as training would, the last `n_open` items the most probably open."""
    gate = getattr(gate, "l0_gate", gate)
    with torch.no_grad():
        logits = torch.linspace(-3, 3, gate.size)
        gate.gates.qz_logits.copy_(logits)
    return np.arange(gate.size - n_open, gate.size)
