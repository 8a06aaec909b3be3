"""Channels that are tied, and the groups that come of it."""

from dataclasses import replace

import numpy as np

from l0.networks.graph.channel_graph import AT_LOOSE, AT_OUTPUT, SUM, ChannelGraph
from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.layer_types import LayerType


def test_what_all_units_meet_stays_when_they_go():
    queries, keys, out = (ChannelLayout("dense", 4, n, -1, -1) for n in (6, 2, 3))
    layouts = {"q": queries, "k": keys, "out": replace(out, n_in=6)}
    graph = ChannelGraph(layouts, dict.fromkeys(layouts, LayerType("", "dense")))
    heads, nodes = np.arange(6) // 2 * 2, np.arange(6)
    q, k, read = graph.node("q", "out", nodes), graph.node("k", "out", nodes[:2]), "out"
    for source, made in (("q", q), ("k", k)):
        reached = graph.node(read, "in", nodes)
        every = np.concatenate([made, reached])
        first = q[np.concatenate([heads, heads])] if source == "q" else np.repeat(k[:1], 8)
        graph.tie(every, first, source, len(reached) / len(made))
    groups, left_out, stuck = graph.groups()
    (group,) = groups
    assert (group.name, group.n_units, group.meets) == ("q", 3, ("k",))
    assert "together" in group.doubt
    assert not stuck
    reasons = {left.name: left.reason for left in left_out}
    assert reasons["k"] == "all units of q meet each of them"


def test_groups_have_the_same_layers_and_flags_say_why_units_stay():
    layouts = {name: ChannelLayout("dense", 4, 4, -1, -1) for name in "abc"}
    graph, four = (
        ChannelGraph(layouts, dict.fromkeys(layouts, LayerType("", "dense"))),
        np.arange(4),
    )
    graph.add_sum("s", 4)
    graph.tie(graph.node("a", "out", four), graph.node("s", SUM, four))
    graph.tie(graph.node("s", SUM, four), graph.node("b", "in", four))
    graph.tie(graph.node("b", "out", four[:2]), graph.node("c", "in", four[1:3]))
    graph.flag("c", "out", four >= 0, AT_OUTPUT)
    graph.flag("b", "in", four == 3, AT_LOOSE)
    groups, left_out, _ = graph.groups()
    assert [(group.name, group.n_units) for group in groups] == [("a", 3), ("b", 2)]
    assert [member.module for member in groups[0].members] == ["a", "b"]
    reasons = {left.name: left.reason for left in left_out}
    assert "output" in reasons["c"]
    assert "only be removed together" in reasons["a #2"]
    assert "no layer reads them" in reasons["b #2"]
