"""The options of a fit: one list, which every function that starts a fit uses.

`l0.calibrate`, `l0.frontier`, `CalibrationProblem.solve`, `CalibrationProblem.frontier` and the
command line all take these options. To add an option, add an entry to `Options` and the code that
uses it.
"""

# No `from __future__ import annotations`: the `Option` of each annotation is read at run time.
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

from l0.calibration.progress import Listener
from l0.common.errors import InputError, closest

if TYPE_CHECKING:
    import torch  # `l0 --help` shows the options, and must not wait for torch

Function = TypeVar("Function", bound=Callable[..., Any])


def read_limits(text: str) -> tuple[float | None, float | None]:
    """Read ``LOW,HIGH`` from the command line. A side may be empty."""
    try:
        low, high = (float(side) if side.strip() else None for side in text.split(","))
    except ValueError:
        raise InputError(
            f"{text!r} is not of the form LOW,HIGH; write 0.1,10, for example, and leave a side "
            "empty for no limit"
        ) from None
    return low, high


@dataclass(frozen=True)
class Option:
    """The description of an option.

    Attributes
    ----------
    type : str
        The type, as docstrings write it.
    default : object
    text : str
        What the option does, for docstrings and for the help of the command line.
    read : callable or None
        Reads the value on the command line. The command line leaves an option out if it is None.
    metavar : str or None
        The name of the value in the help, for a value that is neither text nor a number.
    """

    type: str
    default: Any
    text: str
    read: Callable[[str], Any] | None
    metavar: str | None = None


class Options(TypedDict, total=False):
    """The options of a fit. Each is optional."""

    loss: Annotated[
        str,
        Option(
            '{"capped", "relative"}',
            "capped",
            "The loss of an error: capped is the absolute relative error, which gives up targets "
            "out of reach; relative is the squared relative error. The fit minimises the weighted "
            "mean over the targets.",
            str,
        ),
    ]
    bounds: Annotated[
        tuple[float | None, float | None] | None,
        Option(
            "(low, high)",
            None,
            "Limits of the ratio of the final weight to the design weight. A side without a "
            "number has no limit. If k of n records are kept, the ratios are about n / k.",
            read_limits,
            "LOW,HIGH",
        ),
    ]
    seed: Annotated[
        int,
        Option(
            "int",
            0,
            "Seed of all random numbers. The global generators do not change.",
            int,
        ),
    ]
    device: Annotated[
        "str | torch.device | None",
        Option(
            "str or torch.device",
            None,
            "Where to compute: cpu, cuda, ... The default is CUDA if there is one, else the CPU.",
            str,
        ),
    ]
    epochs: Annotated[
        int | None,
        Option(
            "int",
            None,
            "Epochs of each fit, by default 400. The epochs of a selector are in proportion.",
            int,
        ),
    ]
    progress: Annotated[
        bool | Listener | None,
        Option(
            "bool or callable",
            None,
            "True shows a live line. A callable is called with a `Progress` at intervals.",
            None,
        ),
    ]


OPTIONS: dict[str, Option] = {
    name: annotation.__metadata__[0] for name, annotation in Options.__annotations__.items()
}


def with_defaults(options: Options) -> Options:
    """Fill in the defaults. An unknown name is a TypeError."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"there is no option {name!r}; {closest(name, OPTIONS)}")
    defaults = {name: option.default for name, option in OPTIONS.items()}
    return {**defaults, **options}  # type: ignore[typeddict-item]


def takes_options(function: Function) -> Function:
    """Write the options into a signature and a docstring, in place of ``**options``."""
    signature = inspect.signature(function)
    named = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    for name, option in OPTIONS.items():
        named.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
        )
    function.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    if function.__doc__:  # there is none under python -OO
        function.__doc__ = _documented(function.__doc__)
    return function


def _documented(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if line.strip() != "**options":
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        for name, option in OPTIONS.items():
            default = option.default
            shown = f'"{default}"' if isinstance(default, str) else repr(default)
            optional = "optional" if default is None else f"default {shown}"
            lines.append(f"{indent}{name} : {option.type}, {optional}")
            lines += textwrap.wrap(
                option.text, 96, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
            )
    return "\n".join(lines)
