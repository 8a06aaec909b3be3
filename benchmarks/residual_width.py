"""What half of all widths leaves of transformers, with the residual stream and without it.

    .venv/bin/python benchmarks/residual_width.py
    .venv/bin/python benchmarks/residual_width.py --only GPT

Every second unit of each group is closed. The difference is that of the gated and the compact model
in evaluation mode, relative to the largest output; seconds are those of the processor for
`l0.sparsify`, on one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.find_units import Llama, ViT
from l0.networks import Params, sparsify
from l0.networks.pruning.compact import compacted


def gpt() -> torch.nn.Module:
    """Return GPT-2 of `transformers` of width 128, with another table for its output."""
    import transformers

    config = transformers.GPT2Config(
        vocab_size=1000, n_embd=128, n_layer=2, n_head=4, n_positions=128, tie_word_embeddings=False
    )
    return transformers.GPT2LMHeadModel(config)


def image() -> torch.Tensor:
    """Draw an image."""
    return torch.randn(1, 3, 224, 224)


MODELS: dict[str, tuple[Any, Any, float]] = {
    "GPT, width 128, 2 blocks": (gpt, lambda: torch.randint(0, 1000, (2, 12)), 0.36),
    "ViT, width 384, 4 blocks": (lambda: ViT(4), image, 0.36),
    "Llama, width 256, 4 blocks": (
        lambda: Llama(4, width=256, heads=4), lambda: torch.randint(0, 32_000, (2, 8)), 0.48,
    ),
}  # fmt: skip


def outputs(model: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Return the first output."""
    with torch.no_grad():
        out = model(inputs)
    return out if isinstance(out, torch.Tensor) else out.logits


def row(make: Any, draw: Any, residual: bool) -> tuple[int, float, float, float]:
    """Return the number of groups, the share of parameters left, the difference and the seconds."""
    torch.manual_seed(0)
    model, inputs = make().eval(), draw()
    before = sum(p.numel() for p in model.parameters())
    start = time.process_time()
    sparsifier = sparsify(model, inputs, Params(0.99), residual=residual)
    seconds = time.process_time() - start
    for gate in sparsifier.gates:
        gate.alive[1::2] = False
    keep = [gate.alive for gate in sparsifier.gates]
    small = compacted(model, sparsifier.structure.groups, keep).eval()
    a, b = outputs(model.eval(), inputs), outputs(small, inputs)
    left = sum(p.numel() for p in small.parameters()) / before
    return len(keep), left, float((a - b).abs().max() / a.abs().max()), seconds


def main() -> None:
    """Print the table; the exit status tells whether a share is missed or outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names of networks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| network | residual | groups | parameters left | difference | seconds |")
    print("|---|---|--:|--:|--:|--:|")
    missed = False
    for name, (make, draw, most) in MODELS.items():
        if not any(word in name for word in options.only):
            continue
        for residual in (False, True):
            groups, left, worst, seconds = row(make, draw, residual)
            shown = f"{groups} | {left:.3f} | {worst:.0e} | {seconds:.1f}"
            print(f"| {name} | {'yes' if residual else 'no'} | {shown} |", flush=True)
            missed |= worst > 1e-5 or (residual and left > most)
    sys.exit(missed)


if __name__ == "__main__":
    main()
