"""The device that a fit runs on; errors are tested where the argument is."""

import pytest
import torch

from l0.common.devices import checked_device, full_device_in_words
from l0.common.errors import InputError


def test_no_device_is_the_best_there_is():
    assert checked_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert checked_device("cpu") == torch.device("cpu")


def test_a_device_without_memory_is_said_in_words():
    text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."
    with (
        pytest.raises(
            InputError, match=r"`device`: cuda:0 has no memory left .*\(CUDA out of memory"
        ),
        full_device_in_words(torch.device("cuda:0")),
    ):
        raise torch.cuda.OutOfMemoryError(text)
