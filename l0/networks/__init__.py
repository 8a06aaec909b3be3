"""Networks: name a budget, train once, get a smaller ordinary model."""

from l0.networks.attention import Attention
from l0.networks.budgets import Budget, Bytes, Macs, Params, Units
from l0.networks.report import Report
from l0.networks.saving import load, save
from l0.networks.sparsifier import Sparsifier
from l0.networks.sparsify import sparsify

__all__ = [
    "Attention",
    "Budget",
    "Bytes",
    "Macs",
    "Params",
    "Report",
    "Sparsifier",
    "Units",
    "load",
    "save",
    "sparsify",
]
