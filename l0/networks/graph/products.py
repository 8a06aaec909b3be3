"""Multiply-adds between the layers, such as those inside attention, and what they grow with."""

from __future__ import annotations

from torch.utils.flop_counter import flop_registry

from l0.networks.graph.tape import Event, Tape, storage_of


def products_of(tape: Tape) -> tuple[dict[str, float], float]:
    """Count the multiply-adds between layers of a known type, by the layer they grow with.

    A product belongs to the layer that makes the channels of its first factor; if this factor is a
    product of two activations itself, as the weights of attention are, or a parameter, to the layer
    of the second one. So the products of queries and keys grow with the channels of the queries,
    those of weights and values with the channels of the values, and a product of an activation and
    a parameter grows with the channels of the activation.

    Parameters
    ----------
    tape : Tape
        A recorded pass.

    Returns
    -------
    by_layer : dict of str to float
        For each of these layers, the multiply-adds of one output channel for the whole batch.
    rest : float
        The multiply-adds that grow with no layer, such as those of the inputs and a parameter.
    """
    source: dict[int, str | None] = {}  # by memory: the layer whose channels it holds, if there is
    by_layer: dict[str, float] = {}
    rest = 0.0
    for event in tape.events:
        of = [source[storage_of(t)] for t in event.inputs if storage_of(t) in source]
        layout = tape.layouts.get(event.name) if event.func is None else None
        made_by: str | None = next((name for name in of if name is not None), None)
        if layout and layout.role in ("dense", "source") and layout.n_out:
            made_by = event.name
        elif macs := _multiply_adds(event):
            if made_by is None:
                rest += macs
            else:
                each = macs / tape.layouts[made_by].n_out
                by_layer[made_by] = by_layer.get(made_by, 0.0) + each
            if len(of) > 1:
                made_by = None
        if not of and made_by is None:
            continue
        for tensor in event.outputs:
            source[storage_of(tensor)] = made_by
    return by_layer, rest


def _multiply_adds(event: Event) -> int:
    """Return the multiply-adds of an operation, as PyTorch counts them."""
    count = flop_registry.get(getattr(event.func, "overloadpacket", None))
    if count is None:
        return 0
    out = event.outputs[0] if len(event.outputs) == 1 else tuple(event.outputs)
    return int(count(*event.args, **event.kwargs, out_val=out)) // 2
