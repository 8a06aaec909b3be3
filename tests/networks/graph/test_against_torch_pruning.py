"""The groups found by running the model are those of torch-pruning's dependency graph."""

import pytest
import torch
import torch_pruning
from torch import nn

from l0.networks.graph.dependencies import find_units
from tests.networks.nets import NETS

LAYERS = (nn.Linear, nn.Conv2d, nn.BatchNorm2d)


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "separable"])
def test_the_same_layers_go_together(name):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=inputs)
    names = {module: name for name, module in model.named_modules()}
    theirs = []
    for group in graph.get_all_groups():
        sides = set()
        for item in group:
            module = item.dep.target.module
            if isinstance(module, LAYERS):
                through = isinstance(module, nn.BatchNorm2d) or getattr(module, "groups", 1) > 1
                into = through or item.dep.handler.__name__ == "prune_in_channels"
                sides.add((names[module], "in" if into else "out"))
        theirs.append(sides)
    ours = [
        {(member.module, member.side) for member in group.members}
        for group in find_units(model, inputs).groups
    ]
    assert len(ours) == len(theirs) - 1  # they also list the last layer's outputs
    assert all(sides in theirs for sides in ours)
