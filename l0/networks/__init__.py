"""Networks: name a budget, train once, and get a smaller ordinary model."""

from l0.networks.budgets.budgets import Budget, Bytes, Macs, Params, Units
from l0.networks.graph.attention import Attention
from l0.networks.report.report import Report
from l0.networks.sparsifier import Sparsifier
from l0.networks.sparsify import sparsify
from l0.networks.storage import load, save

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
