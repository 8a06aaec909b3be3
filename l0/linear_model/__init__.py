"""Linear models with few columns, as estimators of scikit-learn.

`__init__.pyi` lists the names. Each is imported when it is first used, and needs scikit-learn
only then.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(
            f"{name} needs scikit-learn: pip install scikit-learn", name="sklearn"
        ) from None
