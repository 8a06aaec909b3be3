import pytest
import torch

from l0.common.dtypes import at_least_float32


@pytest.mark.parametrize(
    ("given", "wide"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_widened_and_keeps_its_values(given, wide):
    x = torch.tensor([0.5, -2.0], dtype=given)
    assert at_least_float32(x).dtype == wide
    assert at_least_float32(x).tolist() == [0.5, -2.0]
