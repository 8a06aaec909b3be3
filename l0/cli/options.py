"""The options of a fit and of its tables, as options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

import typer

from l0.calibration.options import Option, Options, SurveyOptions, TableOptions, known
from l0.cli.wording import as_options
from l0.common.errors import InputError


def _parser(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make typer show the reason why a value cannot be read."""

    def parse(text: str) -> Any:
        try:
            return read(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None

    return parse


Command = TypeVar("Command", bound=Callable[..., None])


def written_options() -> dict[str, str]:
    """List the options of a calibration, by their names in Python."""
    return {name: f"--{name.replace('_', '-')}" for name in known(SurveyOptions)}


def takes_options(hidden: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of a calibration in place of ``**options``.

    Hidden ones are not in its help: the command refuses them, with the reason.
    """
    return lambda command: _with_options(command, known(SurveyOptions), hidden)


def takes_some(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of tables, and those of a fit with these names."""
    asked = known(TableOptions) | {name: known(Options)[name] for name in names}
    return lambda command: _with_options(command, asked)


def _with_options(
    command: Command, options: Mapping[str, Option], hidden: Collection[str] = ()
) -> Command:
    signature = inspect.signature(command, eval_str=True)
    parameters = [each for each in signature.parameters.values() if each.name != "options"]
    written = written_options()
    for name, option in options.items():
        if option.read is None:
            continue
        plain = option.read in (int, str, bool)
        kind: Any = option.read if plain else Any
        if option.repeated:
            kind = list[kind]
        # A text that names its own option means a thing of this name.
        others = {each: text for each, text in written.items() if each != name}
        asked = typer.Option(
            help=as_options(option.text, others) + (" May be repeated." if option.repeated else ""),
            metavar=option.metavar,
            hidden=name in hidden,
            parser=None if plain else _parser(option.read),
        )
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=Annotated[kind if option.default is not None else kind | None, asked],
            )
        )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def with_members(options: dict[str, Any]) -> dict[str, Any]:
    """Make a dictionary of the tables that `--members` names one by one."""
    pairs = options["members"] or []
    if len(dict(pairs)) < len(pairs):
        raise InputError("`--members` has a name twice; give each table its own name")
    return {**options, "members": dict(pairs)}
