"""The options of a calibration: one list, which every function that starts one uses.

`l0.calibrate`, `l0.frontier`, the methods of `CalibrationProblem` and the command line all take
these options. To add an option, add an entry to `TableOptions` (for reading tables) or to `Options`
(for solving a problem), and the code that uses it.
"""

# No `from __future__ import annotations`: the `Option` of each annotation is read at run time.
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar, cast

from l0.calibration.progress import Listener
from l0.common.errors import InputError, closest

if TYPE_CHECKING:
    import os

    # `l0 --help` shows the options, and must not wait for torch.
    import torch
    from numpy.typing import ArrayLike

    from l0.calibration.replicate_settings import Jackknife, SurveyReplicates
    from l0.calibration.solver_settings import Solver

    #: One side of bounds: a number, the name of a column, a number for each record, or no limit.
    Limit = float | str | ArrayLike | None

Given = TypeVar("Given", "TableOptions", "Options")
Function = TypeVar("Function", bound=Callable[..., Any])


def read_limits(text: str) -> tuple[float | str | None, float | str | None]:
    """Read ``LOW,HIGH`` from the command line: each a number, a column, or empty for no limit."""
    sides = [side.strip() for side in text.split(",")]
    if len(sides) != 2:
        raise InputError(
            f"{text!r} is not of the form LOW,HIGH; write 0.1,10, for example, and leave a side "
            "empty for no limit"
        )
    low, high = map(_read_limit, sides)
    return low, high


def read_pairs(text: str, form: str) -> dict[str, str]:
    """Read ``NAME=VALUE,...`` from the command line, each name once.

    Examples
    --------
    >>> from l0.calibration.options import read_pairs
    >>> read_pairs("state=VT, year=2020", "COLUMN=LABEL; write state=VT, for example")
    {'state': 'VT', 'year': '2020'}
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise InputError(f"{text!r} is not of the form {form}")
    found: dict[str, str] = {}
    for name, _, value in pairs:
        if name.strip() in found:
            raise InputError(f"{text!r} has {name.strip()!r} more than once; give it once")
        found[name.strip()] = value.strip()
    return found


def read_solver(text: str) -> "Solver":
    """Read ``gap=G,max_seconds=S`` from the command line. Each part may be left out."""
    from l0.calibration.solver_settings import Solver

    form = "gap=G,max_seconds=S; write gap=1e-6, for example"
    pairs = read_pairs(text, form)
    try:
        return Solver(**{name: float(value) for name, value in pairs.items()})
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text!r} is not of the form {form}") from None


def read_represent(text: str) -> bool | list[str | tuple[str, str]]:
    """Read ``yes``, ``no``, or label columns with commas between them; a pair has an asterisk."""
    if text in ("yes", "no"):
        return text == "yes"
    found: list[str | tuple[str, str]] = []
    for part in text.split(","):
        names = [name.strip() for name in part.split("*")]
        if not all(names) or len(names) > 2:
            raise InputError(
                f"{text!r} is not of the form COLUMN,COLUMN*COLUMN; write state,state*age, for "
                "example, or yes or no"
            )
        found.append((names[0], names[1]) if len(names) == 2 else names[0])
    return found


def _read_limit(side: str) -> float | str | None:
    if not side:
        return None
    try:
        return float(side)
    except ValueError:
        return side


def read_member(text: str) -> tuple[str, str]:
    """Read ``NAME=FILE`` from the command line."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InputError(
            f"{text!r} is not of the form NAME=FILE; write person=people.csv, for example"
        )
    return name, path


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
    repeated : bool
        Whether the command line takes the option several times.
    """

    type: str
    default: Any
    text: str
    read: Callable[[str], Any] | None
    metavar: str | None = None
    repeated: bool = False


class TableOptions(TypedDict, total=False):
    """The options of reading survey tables. Each is optional."""

    key: Annotated[
        str | None,
        Option(
            "str",
            None,
            "Column that identifies a record in all tables. Without it, the row number identifies "
            "a record, and the order of the rows matters.",
            str,
        ),
    ]
    weight: Annotated[
        str | None,
        Option(
            "str",
            None,
            "Column of design weights, which must be positive (see `zero_weights`). `select` of a "
            "result writes the new weights into this column. Without it, all records have the same "
            "weight: the median over the totals of value / unweighted total.",
            str,
        ),
    ]
    members: Annotated[
        Mapping[str, Any] | None,
        Option(
            "dict of str to frame or path",
            None,
            "Tables of the units inside a record, such as the persons of a household, by the name "
            "that targets use as their entity. The key links a unit to its record.",
            read_member,
            "NAME=FILE",
            repeated=True,
        ),
    ]
    zero_weights: Annotated[
        str,
        Option(
            '{"error", "drop"}',
            "error",
            "What to do with records of design weight 0: error stops, and drop leaves them and "
            "their members out and counts them in the notes on the result. Negative weights are "
            "an error.",
            str,
        ),
    ]


class Options(TypedDict, total=False):
    """The options of a fit. Each is optional."""

    loss: Annotated[
        str,
        Option(
            '{"capped", "relative"}',
            "capped",
            "The loss of an error: capped is the absolute relative error, which leaves the errors "
            "to a few targets that contradict the others; relative is the squared relative error, "
            "which spreads them. The fit minimises the weighted mean over the targets.",
            str,
        ),
    ]
    bounds: Annotated[
        "tuple[Limit, Limit] | None",
        Option(
            "(low, high)",
            None,
            "Limits of the ratio of the final weight to the design weight, which all chosen "
            "records keep exactly. Each side is a number, the name of a column of the records, an "
            "array with one limit for each record (in Python), or empty (None in Python) for no "
            "limit. If k of n records are kept, the ratios are about n / k.",
            read_limits,
            "LOW,HIGH",
        ),
    ]
    weight_bounds: Annotated[
        "tuple[Limit, Limit] | None",
        Option(
            "(low, high)",
            None,
            "Limits of the final weights themselves, given like `bounds`. If both are given, the "
            "tighter limit holds for each record.",
            read_limits,
            "LOW,HIGH",
        ),
    ]
    must_keep: Annotated[
        "str | ArrayLike | None",
        Option(
            "str or array",
            None,
            "Records that must be among the chosen ones: the name of a boolean column of the "
            "records, or, in Python, their keys or an array with True or False for each record.",
            str,
            "COLUMN",
        ),
    ]
    quotas: Annotated[
        Any,
        Option(
            "frame or path",
            None,
            "How many records to choose from each cell: a table with a row for each cell, its "
            "labels in columns of the records, and `min_records`, `max_records` or both. An empty "
            "label means any level, and an empty limit none.",
            str,
            "FILE",
        ),
    ]
    holdout: Annotated[
        "str | Sequence[str] | None",
        Option(
            "list of str",
            None,
            "Targets that are left out of the fit and reported: patterns on their names, such as "
            "`snap/*`, or on their groups, with `group:` before them. An asterisk is any text.",
            str,
            "PATTERN",
            repeated=True,
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
            "Epochs of the methods path and hard_concrete, and of the path in hybrid, by default "
            "400: a step of the path takes an eighth of them, and hard_concrete twice as many.",
            int,
        ),
    ]
    distance: Annotated[
        str,
        Option(
            '{"raking", "linear", "logit"}',
            "raking",
            "The distance of the weights to the base weights, after Deville & Särndal (1992). "
            "linear gives the weights of the regression estimator; some can be negative if all "
            "records are kept without bounds. logit needs bounds on both sides, and stays inside.",
            str,
        ),
    ]
    exact: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether all targets must be met. If they cannot be, it is an error that names targets "
            "which contradict each other. By default, such targets share the error.",
            bool,
        ),
    ]
    keep_total: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether the weights must add up to the sum of all design weights.",
            bool,
        ),
    ]
    integer_weights: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether the weights must be whole numbers of at least 1, so that `expand` of a result "
            "can repeat each record as often. The fitted weights are rounded down or up, so that "
            "the loss stays small, their sum is the nearest whole number, and the bounds hold.",
            bool,
        ),
    ]
    solver: Annotated[
        "Solver | None",
        Option(
            "Solver",
            None,
            "The accuracy of the fits, and their limits. The default is Solver(gap=1e-3): the "
            "objective is within 0.1% of the best possible one.",
            read_solver,
            "gap=G,max_seconds=S",
        ),
    ]
    represent: Annotated[
        "bool | list[str | tuple[str, str]] | list[int] | None",
        Option(
            "bool or list",
            None,
            "Whether the chosen records should keep totals of the calibrated full file that are no "
            "targets: soft targets, of which each counts less than a published one. True, the "
            "default for tables, means the counts and the totals of all amounts, overall and by "
            "each label column of records and members. A list names label columns and pairs of "
            "them. For a problem from a matrix, it is a list of rows of `untargeted`, by default "
            "none. If all records are kept, it does nothing.",
            read_represent,
            "yes|no|COLUMNS",
        ),
    ]
    replicates: Annotated[
        "int | Jackknife | SurveyReplicates | None",
        Option(
            "int, Jackknife or SurveyReplicates",
            None,
            "Make replicate weights for standard errors. A number is short for Jackknife(number), "
            "a delete-a-group jackknife with so many groups; 80 is a good one. Every column is "
            "fitted to the targets like the weights. The table of the result is `replicates`.",
            int,
        ),
    ]
    keep_problem: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether the result keeps the problem in memory, so that its method `replicate` can "
            "make replicate weights later.",
            None,
        ),
    ]
    checkpoint: Annotated[
        "str | os.PathLike[str] | None",
        Option(
            "path",
            None,
            "Folder in which the run keeps what it has computed: the result of each stage, and the "
            "state of long ones about every half minute. If the run is killed, `resume` goes on "
            "from there. The folder can be removed when the result is saved.",
            str,
            "FOLDER",
        ),
    ]
    resume: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether to go on with the run of the folder `checkpoint`, or to start one if the "
            "folder has none. The result is the same to the last bit as without an interruption. "
            "The tables and all other options must be the same.",
            bool,
        ),
    ]
    distributed: Annotated[
        bool,
        Option(
            "bool",
            False,
            "Whether the processes of `torch.distributed` share the work. All of them must make "
            "the same call, and get the same result, which is that of one process. The page on "
            "large files describes it.",
            None,
        ),
    ]
    check_scale: Annotated[
        bool,
        Option(
            "bool",
            True,
            "Check that design weights and targets are on one scale. It is an error if most "
            "targets are more than 20 times the design-weighted totals, or less than a 20th of "
            "them, by about the same factor.",
            bool,
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


class SurveyOptions(TableOptions, Options):
    """All options of a calibration of tables. Each is optional."""


#: The options that some calls do not take, each with the reason.
NOT_OF_A_FRONTIER = {
    "replicates": "a frontier has no weights (calibrate with the budget that you choose)",
    "keep_problem": "a frontier keeps no problem",
    "checkpoint": "a frontier keeps none",
    "resume": "a frontier keeps no checkpoint",
    "distributed": "a frontier runs in one process",
}
NOT_OF_A_CROSS_VALIDATION = {
    "holdout": "a cross-validation holds out each of `families` in turn",
    "replicates": "a cross-validation keeps errors alone",
    "keep_problem": "a cross-validation keeps errors alone",
    "checkpoint": "a cross-validation keeps none",
    "resume": "a cross-validation keeps no checkpoint",
}

Kinds = type[TableOptions] | type[Options] | type[SurveyOptions]


def known(options: Kinds) -> dict[str, Option]:
    """Describe each option, by name."""
    return {name: hint.__metadata__[0] for name, hint in options.__annotations__.items()}


def with_defaults(options: Given, kind: type[Given]) -> Given:
    """Fill in the defaults. An unknown name is a TypeError."""
    given = cast(dict[str, Any], options)
    described = known(cast(Kinds, kind))
    _check_names(given, described)
    return cast(Given, {**{name: option.default for name, option in described.items()}, **given})


def refuse(options: Options, reasons: Mapping[str, str]) -> None:
    """Refuse options that are given, though a call does not take them."""
    from l0.common.validation import flag

    given = cast(dict[str, Any], options)
    for name, reason in reasons.items():
        value, default = given[name], known(Options)[name].default
        if (flag(value, name) if isinstance(default, bool) else value) is not default:
            raise InputError(f"`{name}`: {reason}; leave it out")


def split(options: SurveyOptions) -> tuple[TableOptions, Options]:
    """Separate the options of tables from all others. An unknown name is a TypeError."""
    _check_names(options, known(SurveyOptions))
    of_tables: dict[str, object] = {}
    others: dict[str, object] = {}
    for name, value in options.items():
        (of_tables if name in known(TableOptions) else others)[name] = value
    return cast(TableOptions, of_tables), cast(Options, others)


def _check_names(given: Iterable[str], described: Mapping[str, Option]) -> None:
    for name in given:
        if name not in described:
            raise TypeError(f"there is no option {name!r}; {closest(name, described)}")


def takes(options: Kinds, but: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Write options into a signature and a docstring, in place of ``**options``.

    Parameters
    ----------
    options : type
    but : iterable of str
        The names of those that are left out.
    """
    taken = {name: option for name, option in known(options).items() if name not in set(but)}

    def written(function: Function) -> Function:
        signature = inspect.signature(function)
        named = [each for each in signature.parameters.values() if each.kind != each.VAR_KEYWORD]
        named += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for name, option in taken.items()
        ]
        function.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
        if function.__doc__:  # there is none under python -OO
            function.__doc__ = _documented(function.__doc__, taken)
        return function

    return written


def _documented(text: str, options: Mapping[str, Option]) -> str:
    lines = []
    for line in text.splitlines():
        if line.strip() != "**options":
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        for name, option in options.items():
            default = option.default
            shown = f'"{default}"' if isinstance(default, str) else repr(default)
            optional = "optional" if default is None else f"default {shown}"
            lines.append(f"{indent}{name} : {option.type}, {optional}")
            lines += textwrap.wrap(
                option.text, 96, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
            )
    return "\n".join(lines)
