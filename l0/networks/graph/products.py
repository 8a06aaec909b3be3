"""Products of two activations, such as those inside attention, and the channels they grow with."""

from __future__ import annotations

from l0.networks.graph.tape import Event, Tape, storage_of

#: Operations whose last two tensors are multiplied as matrices.
_MATRIX_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")


def products_of(tape: Tape) -> dict[str, float]:
    """Count the multiply-adds of products of two activations, by the layer they grow with.

    A product belongs to the layer that makes the channels of its first factor; if this factor is a
    product itself, as the weights of attention are, to the layer of the second one. So the products
    of queries and keys grow with the channels of the queries, and those of weights and values with
    the channels of the values.

    Parameters
    ----------
    tape : Tape
        A recorded pass.

    Returns
    -------
    dict of str to float
        For each of these layers, the multiply-adds of one output channel for the whole batch.
    """
    source: dict[int, str | None] = {}  # by memory: the layer whose channels it holds, if there is
    found: dict[str, float] = {}
    for event in tape.events:
        of = [source[storage_of(t)] for t in event.inputs if storage_of(t) in source]
        layout = tape.layouts.get(event.name) if event.func is None else None
        made_by: str | None = next((name for name in of if name is not None), None)
        if layout and layout.role in ("dense", "source") and layout.n_out:
            made_by = event.name
        elif not of:
            continue
        elif macs := _multiply_adds(event, source):
            if made_by is not None:
                each = macs / tape.layouts[made_by].n_out
                found[made_by] = found.get(made_by, 0.0) + each
            made_by = None
        for tensor in event.outputs:
            source[storage_of(tensor)] = made_by
    return found


def _multiply_adds(event: Event, source: dict[int, str | None]) -> int:
    """Return the multiply-adds of a product of two activations; 0 for all other operations."""
    if event.func is None or event.name not in _MATRIX_PRODUCTS:
        return 0
    first, second = event.inputs[-2:]
    if storage_of(first) not in source or storage_of(second) not in source:
        return 0
    return event.outputs[0].numel() * int(first.shape[-1])
