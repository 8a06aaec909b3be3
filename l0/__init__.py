"""L0 regularization for PyTorch: choose few records, channels or columns, and lose nothing."""

import logging
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# The library never prints: without this, Python would print the warnings that it logs.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Names and rooms are loaded on first use, so that `import l0` and `l0 --help` stay quick, and who
# wants a gate does not load what surveys need. `__init__.pyi` is the list.
_load, __dir__, _listed = lazy_loader.attach_stub(__name__, __file__)
#: A star import brings no rooms, which would hide `sklearn.datasets`, say.
__all__ = sorted({*_listed} - {"calibration", "datasets", "gates", "linear_model", "networks"})

#: Modules of 0.6. They are no names of `__init__.pyi`, because a star import would then hide other
#: modules of these names, such as `scipy.sparse`.
_MODULES = ("distributions", "hard_concrete", "layers", "penalties", "sparse", "temperature")


def __getattr__(name: str) -> object:
    return import_module(f"{__name__}.{name}") if name in _MODULES else _load(name)


try:
    __version__ = version("l0-python")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "unknown"
