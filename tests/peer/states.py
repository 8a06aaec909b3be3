"""States and outputs of every module of whichever `l0` is imported.

``python states.py FOLDER`` loads the states that the other package left in FOLDER/ours, and
leaves states of its own in FOLDER/theirs, each with what the modules then answer.
"""

import sys
import zlib
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

import l0

IMAGES = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(1))
ROWS = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
MATRIX = sp.random(6, 6, density=0.6, random_state=np.random.default_rng(3), format="csr")

#: One of each kind, with the input of `forward`.
CASES = {
    "HardConcrete": (lambda: l0.HardConcrete(7, temperature=0.3, stretch=0.2), ()),
    "HardConcrete, 2-D": (lambda: l0.HardConcrete(4, 3, init_mean=0.9), ((4, 3, 2, 2),)),
    "L0Gate": (lambda: l0.L0Gate(6, temperature=0.4), None),
    "SampleGate": (lambda: l0.SampleGate(6, 2), None),
    "FeatureGate": (lambda: l0.FeatureGate(6, 2), None),
    "HybridGate": (lambda: l0.HybridGate(20, target_items=8), None),
    "L0Linear": (lambda: l0.L0Linear(6, 4, use_l2=True), (ROWS,)),
    "L0Linear, no bias": (lambda: l0.L0Linear(6, 4, bias=False), (ROWS,)),
    "L0Conv2d": (lambda: l0.L0Conv2d(3, 4, (3, 2), 2, 1, use_l2=True), (IMAGES,)),
    "L0Conv2d, structured": (
        lambda: l0.L0Conv2d(3, 4, 3, bias=False, structured=True, use_l2=True),
        (IMAGES,),
    ),
    "L0DepthwiseConv2d": (lambda: l0.L0DepthwiseConv2d(3, 3, padding=1), (IMAGES,)),
    "L0DepthwiseConv2d, no bias": (
        lambda: l0.L0DepthwiseConv2d(3, (3, 2), 2, bias=False),
        (IMAGES,),
    ),
    "SparseMLP": (lambda: l0.SparseMLP(6, 5, 4, use_l2=True), (ROWS,)),
    "SparseL0Linear": (lambda: l0.SparseL0Linear(6), (MATRIX, True)),
    "SparseL0Linear, no bias": (lambda: l0.SparseL0Linear(6, False, beta=0.5), (MATRIX, True)),
    "SparseCalibrationWeights": (
        lambda: l0.SparseCalibrationWeights(6, init_weights=np.arange(1.0, 7)),
        (MATRIX, True),
    ),
}

#: Those that can be fitted, with the totals of a fit.
FITTED = ("SparseL0Linear", "SparseCalibrationWeights")
TOTALS = np.arange(1.0, 7)

#: What a module can be asked for without an argument.
QUESTIONS = (
    "get_active_indices",
    "get_active_prob",
    "get_active_weights",
    "get_deterministic_gates",
    "get_feature_importance",
    "get_gates",
    "get_l0_loss",
    "get_l0_penalty",
    "get_l2_loss",
    "get_l2_penalty",
    "get_num_active",
    "get_penalty",
    "get_selected_features",
    "get_sparsity",
    "get_sparsity_stats",
)


def build(case):
    """Make the module of a case, in evaluation mode, as it comes."""
    return CASES[case][0]().eval()


def trained(case, seed):
    """Make it with parameters that are all different, and some gates closed."""
    generator = torch.Generator().manual_seed(zlib.crc32(case.encode()) + seed)
    module = build(case)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(3 * torch.randn(parameter.shape, generator=generator))
    return module


@torch.no_grad()
def answers(case, module):
    """Give all that is the same at each call."""
    given = {
        question: getattr(module, question)() for question in QUESTIONS if hasattr(module, question)
    }
    inputs = CASES[case][1]
    if inputs is not None:
        given["forward"] = module(*inputs)
    if hasattr(module, "predict"):
        given["predict"] = module.predict(MATRIX)
    if hasattr(module, "get_weights"):
        given["get_weights"] = module.get_weights(deterministic=True)
    if hasattr(module, "apply_gates"):
        given["apply_gates"] = module.apply_gates(ROWS, dim=1)
    given["compute_l0_penalty"] = l0.compute_l0_penalty(module)
    return given


def save(folder, seed):
    """Leave the state of every case in a folder."""
    folder.mkdir()
    for case in CASES:
        torch.save(trained(case, seed).state_dict(), folder / f"{case}.pt")


def fitted(folder):
    """Load the states of fits that the other package left, and leave one of its own."""
    refused = {}
    for case in FITTED:
        state = torch.load(folder / f"fitted {case}.pt", weights_only=True)
        module = build(case)
        try:
            module.load_state_dict(state, strict=True)
        except RuntimeError as error:
            refused[case] = str(error)
        left_out = module.load_state_dict(state, strict=False)
        assert not left_out.missing_keys
        torch.save(answers(case, module), folder / f"answers {case}.pt")
        module.fit(MATRIX, TOTALS, epochs=3)
        torch.save(module.state_dict(), folder / f"theirs fitted {case}.pt")
        torch.save(answers(case, module), folder / f"their answers {case}.pt")
    torch.save(refused, folder / "refused.pt")


def load(folder):
    """Give the answers of every case with the state found in a folder."""
    given = {}
    for case in CASES:
        module = build(case)
        state = torch.load(folder / f"{case}.pt", weights_only=True)
        module.load_state_dict(state, strict=True)
        given[case] = answers(case, module)
    return given


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fitted(folder)
    save(folder / "theirs", seed=1)
    given = {state: load(folder / state) for state in ("ours", "theirs")}
    torch.save(given, folder / "answers.pt")
