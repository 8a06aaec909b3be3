"""The device that a fit runs on; errors are tested where the argument is."""

import torch

from l0.common.devices import checked_device


def test_no_device_is_the_best_there_is():
    assert checked_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert checked_device("cpu") == torch.device("cpu")
