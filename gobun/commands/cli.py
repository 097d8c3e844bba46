"""Shared parts of the tasks: their decorators, and parsers for flags."""

from __future__ import annotations

import functools
import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.tasks import Task

from gobun import bun_source
from gobun.commands.endings import with_readable_errors
from gobun.commands.flag_help import flag_help
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context
    from invoke.parser.argument import Argument

    from gobun.bun_source import Patch, Series


_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_LONGEST_SHOWN = 60
_LARGEST_NUMBER = 1_000_000


class Command(Task[Any]):
    """A task with help for every flag, and parameters that take words without a flag."""

    leading = ""
    """The parameter that takes the words after the name of the task."""
    remainder = ""
    """The parameter that takes the words after ``--``."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments. Invoke empties ``help`` while reading it, so fill it each time."""
        parameters = self.argspec(self.body).parameters.values()
        self.help = flag_help(self.name.replace("_", "-"), parameters)
        return super().get_arguments(ignore_unknown_help)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:  # noqa: ANN401 - Invoke's
        """Return the options of a flag. No flag takes ``-h``, which prints help."""
        return super().arg_opts(name, default, {*taken_names, "h"})


def command(function: Callable[..., None]) -> Any:  # noqa: ANN401 - Invoke's tasks are untyped
    """Make a task that turns each error into one message and the exit code of the error's class.

    A parameter with the default None becomes a flag whose values are collected in a list.
    """
    parameters = inspect.signature(function).parameters.values()
    lists = [each.name for each in parameters if each.default is None]
    return Command(with_readable_errors(function), iterable=lists)


def command_with_words(
    *, words_before: str = "", remainder: str = ""
) -> Callable[[Callable[..., None]], Any]:
    """Make a task that takes words without a flag.

    The parameter that ``words_before`` names takes the words after the name of the task: all of
    them if it is a list, otherwise one. The list ``remainder`` takes the words after ``--``.
    """

    def decorate(function: Callable[..., None]) -> Any:  # noqa: ANN401 - Invoke's tasks are untyped
        task = command(function)
        task.leading, task.remainder = words_before, remainder
        return task

    return decorate


def variadic_paths(function: Callable[..., None]) -> Callable[..., None]:
    """Give a task the list flag ``path``, and pass the files that it names as its second argument.

    The task raises UsageError if no file is named.
    """
    context, _, *flags = inspect.signature(function).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameter = inspect.Parameter("path", keyword, default=None)

    @functools.wraps(function)
    def run(context: Context, path: list[str] | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - the values of the flags
        if not path:
            name = function.__name__.replace("_", "-")
            raise UsageError("no file is named", hint=f"invoke {name} FILE…")
        function(context, [each for word in path for each in glob_files(word)], **kwargs)

    named = [context, parameter, *(flag.replace(kind=keyword) for flag in flags)]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return run


def split_csv(text: str) -> tuple[str, ...]:
    """Split a comma list. An empty text gives an empty tuple."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def given_path(text: str) -> Path:
    """Return a path from the command line as an absolute path, because tools run in other folders.

    Raises:
        UsageError: no file can have this name, or its bytes are not UTF-8. Results files and
            printed command lines are UTF-8.
    """
    path = Path(text).absolute()
    try:
        longest = max((len(part.encode()) for part in path.parts), default=0)
    except UnicodeEncodeError:
        raise UsageError(
            f"the name of {text} is not UTF-8", hint="rename it, or use another folder"
        ) from None
    if longest > _LONGEST_NAME or len(str(path).encode()) >= _LONGEST_PATH:
        raise UsageError(
            f"the path {text[:60]}… is longer than file systems take", hint="choose a shorter one"
        )
    return path


def glob_files(pattern: str) -> list[Path]:
    """Return the files that match a pattern, or the pattern as a path if no file matches.

    Raises:
        UsageError: no file can have this name.
    """
    path = given_path(pattern)
    try:
        paths = sorted(path.parent.glob(path.name)) if path.name else []
    except (ValueError, NotImplementedError):  # not a pattern, so take the path itself
        paths = []
    return paths or [path]


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def optional_number(text: str, flag: str, largest: int = _LARGEST_NUMBER) -> float | None:
    """Parse the value of ``flag``. Return None if it is empty.

    Raises:
        UsageError: it is not a finite number, or its absolute value is above ``largest``.
    """
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise UsageError(
            f"{flag} {_shorten(text)!r} is not a number", hint="write digits, as in 1.5"
        )
    if number is not None and abs(number) > largest:
        raise UsageError(f"{flag} {_shorten(text)} is too large", hint=f"give at most {largest:,}")
    return number


def optional_integer(text: str, flag: str, largest: int = _LARGEST_NUMBER) -> int | None:
    """Parse the value of ``flag`` as a whole number. Return None if it is empty.

    Raises:
        UsageError: it is not a whole number, or its absolute value is above ``largest``.
    """
    number = optional_number(text, flag, largest)
    if number is not None and not number.is_integer():
        raise UsageError(
            f"{flag} {_shorten(text)!r} is not a whole number", hint="write digits, as in 10"
        )
    return None if number is None else int(number)


def select_patches(series: str, only: str, except_: str) -> tuple[Series, tuple[Patch, ...]]:
    """Return a series, and those of its patches that the comma lists select.

    Raises:
        UsageError: there is no such series, it is malformed, or it lacks a named patch.
    """
    patch_series = bun_source.series_named(series)
    return patch_series, patch_series.select_patches(split_csv(only), split_csv(except_))
