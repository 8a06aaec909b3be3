"""Linear models with few features.

`SparseL0Linear` is a torch module. The others are scikit-learn estimators, and ask for
scikit-learn when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from l0.gated_linear.sparse_l0_linear import SparseL0Linear

if TYPE_CHECKING:
    from l0.linear_model.classifier import L0Classifier
    from l0.linear_model.regressor import L0Regressor
    from l0.linear_model.selector import L0Selector

__all__ = ["L0Classifier", "L0Regressor", "L0Selector", "SparseL0Linear"]

_HOMES = {"L0Classifier": "classifier", "L0Regressor": "regressor", "L0Selector": "selector"}


def __getattr__(name: str) -> object:
    # Imported on first use (PEP 562), like the names of `l0` itself.
    if name not in _HOMES:
        raise AttributeError(f"module 'l0.linear_model' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"l0.linear_model.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(
            f"{name} needs scikit-learn: pip install scikit-learn", name="sklearn"
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
