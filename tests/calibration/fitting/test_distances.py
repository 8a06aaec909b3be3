import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.fitting.distances import EntropyDistance

logs = hnp.arrays(np.float32, 5, elements=st.floats(-3, 3, width=32))
W = torch.tensor([1.0, 4.0, 2.0, 0.5, 3.0])


@given(log_base=logs, log_ratios=logs)
def test_entropy_distance_is_its_formula_and_never_negative(log_base, log_ratios):
    distance = EntropyDistance(torch.tensor(log_base), W)
    q = np.exp(log_ratios.astype(float) - log_base)
    expected = W.numpy() @ (q * np.log(q) - q + 1) / W.numpy().sum()
    assert distance(torch.tensor(log_ratios)).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert distance(torch.tensor(log_ratios)) >= -1e-6
    assert distance(torch.tensor(log_base)) == 0
