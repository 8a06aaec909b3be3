import pytest
import torch

from l0.common.dtypes import at_least_float32, full_precision

CPU = torch.device("cpu")
CUDNN, PRODUCTS = torch.backends.cudnn, torch.backends.cuda.matmul
NEW = hasattr(CUDNN, "conv")
newer = pytest.mark.skipif(not NEW, reason="torch 2.9 brought a switch for each operation")


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


@pytest.fixture
def switches():
    """Puts back the switches of TF32, all of which belong to the process."""
    yield
    CUDNN.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    if NEW:
        for place in (torch.backends, CUDNN, PRODUCTS, torch.backends.mkldnn.matmul):
            place.fp32_precision = "none"


def told():
    """All that torch tells of TF32; an error where the switches contradict each other."""

    def read(place, name):
        try:
            return getattr(place, name)
        except RuntimeError:
            return "an error"

    found = [read(CUDNN, "allow_tf32"), read(PRODUCTS, "allow_tf32")]
    if NEW:
        places = (torch.backends, CUDNN, CUDNN.conv, CUDNN.rnn, PRODUCTS, torch.backends.mkldnn)
        found += [read(place, "fp32_precision") for place in places]
    return found


def is_off():
    if NEW:
        return "tf32" not in [place.fp32_precision for place in (CUDNN.conv, CUDNN.rnn, PRODUCTS)]
    return not CUDNN.allow_tf32 and torch.get_float32_matmul_precision() == "highest"


def set_older():
    CUDNN.allow_tf32 = False
    PRODUCTS.allow_tf32 = True


def set_newer():
    CUDNN.conv.fp32_precision, PRODUCTS.fp32_precision = "ieee", "tf32"


def set_parent():
    torch.backends.fp32_precision = "tf32"
    CUDNN.conv.fp32_precision = "none"


SETTINGS = [
    pytest.param(lambda: None, id="defaults"),
    pytest.param(lambda: torch.set_float32_matmul_precision("high"), id="high"),
    pytest.param(lambda: torch.set_float32_matmul_precision("medium"), id="medium"),
    pytest.param(set_older, id="older"),
    pytest.param(set_newer, id="newer", marks=newer),
    pytest.param(set_parent, id="parent", marks=newer),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_tf32_is_off_inside_and_all_switches_are_as_before_afterwards(setting, switches):
    setting()
    before = told()
    with full_precision(CPU):
        assert is_off()
    assert told() == before
    with pytest.raises(KeyError), full_precision(CPU):
        raise KeyError
    assert told() == before


@newer
def test_a_switch_that_followed_its_parent_still_does(switches):
    set_parent()
    with full_precision(CPU):
        pass
    torch.backends.fp32_precision = "ieee"
    assert (CUDNN.conv.fp32_precision, PRODUCTS.fp32_precision) == ("ieee", "ieee")
    assert CUDNN.rnn.fp32_precision == "tf32"


def test_code_inside_may_use_the_older_switch_of_cudnn(switches):
    with full_precision(CPU), CUDNN.flags(enabled=False, allow_tf32=False):
        assert is_off()


@pytest.mark.parametrize("level", ["highest", "high", "medium"])
def test_it_turns_tf32_off_before_torch_2_9_too(level, switches, monkeypatch):
    torch.set_float32_matmul_precision(level)
    before = told()
    if NEW:
        monkeypatch.delattr(type(CUDNN), "conv")
    with full_precision(CPU):
        assert not CUDNN.allow_tf32 and not PRODUCTS.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    monkeypatch.undo()
    assert told() == before
    assert torch.get_float32_matmul_precision() == level


def test_autocast_is_off_inside_and_on_again_afterwards():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(CPU):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16
