"""Multiply-adds between the layers, such as those inside attention, and what they grow with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch.utils.flop_counter import flop_registry

from l0.networks.graph.tape import Event, Tape, storage_of
from l0.networks.graph.units import UnitGroup

#: Multiply-adds by the layers that made the factors, the first of which they usually grow with.
Products = dict[tuple[str, ...], float]


def products_of(tape: Tape) -> tuple[Products, float]:
    """Count the multiply-adds between layers of a known type, by the layers of their factors.

    Parameters
    ----------
    tape : Tape
        A recorded pass.

    Returns
    -------
    by_layers : dict of tuple of str to float
        The multiply-adds for the whole batch. The layer of the first factor comes first; that of a
        factor which is a product of two activations itself, as the weights of attention are, comes
        last.
    rest : float
        The multiply-adds that grow with no layer, such as those of the inputs and a parameter.
    """
    # By memory: the layer whose channels it holds, if there is, and the one that made the first
    # factor, if it holds a product.
    source: dict[int, tuple[str | None, str | None]] = {}
    by_layers: Products = {}
    rest = 0.0
    for event in tape.events:
        of = [source[storage_of(t)] for t in event.inputs if storage_of(t) in source]
        layout = tape.layouts.get(event.name) if event.func is None else None
        direct = [name for name, _ in of if name is not None]
        weighed = [first for _, first in of if first is not None]
        makers = (direct[0] if direct else None, weighed[0] if weighed else None)
        if layout and layout.role in ("dense", "source") and layout.n_out:
            makers = event.name, None
        elif macs := _multiply_adds(event):
            if direct:
                key = tuple(dict.fromkeys([*direct, *weighed]))
                by_layers[key] = by_layers.get(key, 0.0) + macs
            else:
                rest += macs
            if len(of) > 1:
                makers = None, makers[0]
        if of or makers[0] is not None:
            source.update((storage_of(tensor), makers) for tensor in event.outputs)
    return by_layers, rest


def grown(
    products: Products, n_out: Mapping[str, int], groups: Iterable[UnitGroup]
) -> dict[str, float]:
    """Return the multiply-adds of one output channel, by the layer they grow with.

    A product belongs to the layer that makes the channels of its first factor; if this factor is a
    product of two activations itself, as the weights of attention are, or a parameter, to the layer
    of the second one. So the products of queries and keys grow with the channels of the queries,
    those of weights and values with the channels of the values, and a product of an activation and
    a parameter grows with the channels of the activation. Where the channels of this layer stay
    because all units of another one meet them, as values that all queries share, the product grows
    with the other layer.

    Parameters
    ----------
    products : dict of tuple of str to float
        What :func:`products_of` counted.
    n_out : mapping of str to int
        The numbers of output channels of the layers.
    groups : iterable of UnitGroup
        The groups of units.

    Returns
    -------
    dict of str to float
    """
    met = {(name, member.module) for g in groups for name in g.meets for member in g.producers}
    found: dict[str, float] = {}
    for (name, *others), macs in products.items():
        layer = next((other for other in others if (name, other) in met), name)
        found[layer] = found.get(layer, 0.0) + macs / n_out[layer]
    return found


def _multiply_adds(event: Event) -> int:
    """Return the multiply-adds of an operation, as PyTorch counts them."""
    count = flop_registry.get(getattr(event.func, "overloadpacket", None))
    if count is None:
        return 0
    out = event.outputs[0] if len(event.outputs) == 1 else tuple(event.outputs)
    return int(count(*event.args, **event.kwargs, out_val=out)) // 2
