"""Describe the public names of whichever `l0` is imported, as JSON: ``python signatures.py``."""

import importlib
import inspect
import json

import l0

#: The modules of l0-python 0.6.
MODULES = ("calibration", "distributions", "gates", "layers", "penalties", "sparse")


def parameters(function):
    """Give name, kind and default of each parameter."""
    return [
        {
            "name": parameter.name,
            "kind": parameter.kind.name,
            "default": None if parameter.default is parameter.empty else repr(parameter.default),
        }
        for parameter in inspect.signature(function).parameters.values()
    ]


def methods(cls):
    """Give the public methods that the package itself defines."""
    return {
        name: function
        for name, function in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and function.__module__.startswith("l0.")
    }


def describe():
    """Give the signatures of all public functions, constructors and methods."""
    signatures = {}
    for name in l0.__all__:
        value = getattr(l0, name)
        if inspect.isclass(value) and not issubclass(value, Exception):
            signatures[name] = parameters(value.__init__)
            signatures |= {f"{name}.{key}": parameters(f) for key, f in methods(value).items()}
        elif inspect.isfunction(value):
            signatures[name] = parameters(value)
    return signatures


def homes():
    """Give the public classes and functions that each module of 0.6 defines."""
    return {
        f"l0.{short}": [
            name
            for name, value in vars(importlib.import_module(f"l0.{short}")).items()
            if getattr(value, "__module__", None) == f"l0.{short}" and not name.startswith("_")
        ]
        for short in MODULES
    }


if __name__ == "__main__":
    print(json.dumps({"signatures": describe(), "homes": homes()}))
