"""The options of a fit: the one list behind every way to start one.

`l0.calibrate`, `l0.frontier`, `CalibrationProblem.solve`, `CalibrationProblem.frontier` and the
command line all take what stands here. A new option is a line of `Options`, and code that uses it.
"""

# Annotations are evaluated here: what `Option` says of each is read at run time.
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

from l0.calibration.progress import Listener
from l0.common.errors import InputError, closest

if TYPE_CHECKING:
    import torch  # whoever shows the options, as `l0 --help` does, need not load it

Function = TypeVar("Function", bound=Callable[..., Any])


def read_limits(text: str) -> tuple[float | None, float | None]:
    """Read ``LOW,HIGH`` from the command line; a side may be empty."""
    try:
        low, high = (float(side) if side.strip() else None for side in text.split(","))
    except ValueError:
        raise InputError(
            f"{text!r} is not of the form LOW,HIGH, as in 0.1,10; leave a side empty for no limit"
        ) from None
    return low, high


@dataclass(frozen=True)
class Option:
    """What is known of an option.

    Attributes
    ----------
    type : str
        As a docstring writes it.
    default : object
    text : str
        What it does: in docstrings, and as the help of the command line.
    read : callable or None
        How the command line reads it; None keeps it off the command line.
    metavar : str or None
        What the command line's help calls a value that is no plain text or number.
    """

    type: str
    default: Any
    text: str
    read: Callable[[str], Any] | None
    metavar: str | None = None


class Options(TypedDict, total=False):
    """The options of a fit, each optional."""

    loss: Annotated[
        str,
        Option(
            '{"capped", "relative"}',
            "capped",
            "What an error costs: capped is the absolute relative error, which gives up targets "
            "out of reach; relative is its square. The fit takes the weighted mean over the "
            "targets.",
            str,
        ),
    ]
    bounds: Annotated[
        tuple[float | None, float | None] | None,
        Option(
            "(low, high)",
            None,
            "Limits of the ratio of the final to the design weight. A side without a number has "
            "no limit. To keep k of n records, ratios have to be about n / k.",
            read_limits,
            "LOW,HIGH",
        ),
    ]
    seed: Annotated[
        int,
        Option(
            "int",
            0,
            "Source of every random choice. The global generators are left alone.",
            int,
        ),
    ]
    device: Annotated[
        "str | torch.device | None",
        Option(
            "str or torch.device",
            None,
            "Where to compute: cpu, cuda, ... By default CUDA where there is one, else the CPU.",
            str,
        ),
    ]
    epochs: Annotated[
        int | None,
        Option(
            "int",
            None,
            "Epochs of each fit, by default 400. Selectors spend in proportion.",
            int,
        ),
    ]
    check_scale: Annotated[
        bool,
        Option(
            "bool",
            True,
            "Refuse design weights that are on another scale than the targets: most of these are "
            "more than 20 times, or less than a 20th of, what the weights give, by about the same "
            "factor.",
            bool,
        ),
    ]
    progress: Annotated[
        bool | Listener | None,
        Option(
            "bool or callable",
            None,
            "True draws a live line; a callable gets the `Progress` at intervals.",
            None,
        ),
    ]


OPTIONS: dict[str, Option] = {
    name: annotation.__metadata__[0] for name, annotation in Options.__annotations__.items()
}


def with_defaults(options: Options) -> Options:
    """Fill in the defaults, and refuse what is no option."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"{name!r} is no option; {closest(name, OPTIONS)}")
    defaults = {name: option.default for name, option in OPTIONS.items()}
    return {**defaults, **options}  # type: ignore[typeddict-item]


def takes_options(function: Function) -> Function:
    """Write the options into a signature and a docstring, in the place of ``**options``."""
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
            optional = f"default {option.default!r}" if option.default is not None else "optional"
            lines.append(f"{indent}{name} : {option.type}, {optional}")
            lines += textwrap.wrap(
                option.text, 96, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
            )
    return "\n".join(lines)
