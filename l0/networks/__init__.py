"""Networks: name a budget, train once, and get a smaller ordinary model."""

from l0.networks.budgets.budgets import Budget, Bytes, Latency, Macs, Params, Units
from l0.networks.graph.attention import Attention
from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.layer_types import LayerType
from l0.networks.graph.units import LeftOut, Member, Structure, UnitGroup
from l0.networks.report.report import BudgetRow, Change, GroupRow, LayerRow, Report
from l0.networks.sparsifier import Sparsifier
from l0.networks.sparsify import sparsify
from l0.networks.storage import load, save

__all__ = [
    "Attention",
    "Budget",
    "BudgetRow",
    "Bytes",
    "ChannelLayout",
    "Change",
    "GroupRow",
    "Latency",
    "LayerRow",
    "LayerType",
    "LeftOut",
    "Macs",
    "Member",
    "Params",
    "Report",
    "Sparsifier",
    "Structure",
    "UnitGroup",
    "Units",
    "load",
    "save",
    "sparsify",
]
