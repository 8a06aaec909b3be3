"""L0 regularization for PyTorch: choose few records, channels or columns, and lose nothing."""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# Names and rooms are loaded on first use, so that `import l0` and `l0 --help` stay quick, and who
# wants a gate does not load what surveys need. `__init__.pyi` is the list.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("l0-python")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "unknown"
