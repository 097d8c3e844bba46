"""What the tasks share: flags read into types, errors told in words."""

from __future__ import annotations

import errno
import functools
import inspect
import itertools
import math
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from invoke.tasks import task

from gobun import bun_source
from gobun.console import show_error
from gobun.errors import GobunError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context

    from gobun.bun_source import Patch, Series


_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a task: Ctrl-C, a CI system or ``timeout``, and a terminal that closes."""

_CLEANING_S = 3.0
"""Seconds after such a signal in which another does nothing: what was started is being ended."""
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_LONGEST_SHOWN = 60
_LARGEST_NUMBER = 1_000_000


class _EndedError(KeyboardInterrupt):
    """A signal that ends a task, and all that it started."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end_by_signals() -> None:
    """Turn each signal that ends a task into an exception, except one that is ignored."""
    began = -math.inf

    def end(number: int, _: object) -> None:
        nonlocal began
        if time.monotonic() - began > _CLEANING_S:
            began = time.monotonic()
            raise _EndedError(number)

    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` starts it
            signal.signal(number, end)


def command(function: Callable[..., None]) -> Any:  # noqa: ANN401 - Invoke's tasks are untyped
    """Make a task whose errors are one readable message and the exit code of their class."""

    @functools.wraps(function)
    def run(*args: object, **kwargs: object) -> None:
        _end_by_signals()
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            if not _has_no_reader():
                raise
            # Python itself flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(128 + signal.SIGPIPE) from None
        except GobunError as error:
            show_error(f"error: {error}")
            raise SystemExit(error.exit_code) from None
        except OSError as error:
            told = _of_system(error)
            show_error(f"error: {told}")
            raise SystemExit(told.exit_code) from None
        except KeyboardInterrupt as error:
            show_error("interrupted")
            number = error.number if isinstance(error, _EndedError) else signal.SIGINT
            raise SystemExit(128 + number) from None

    return task(run)


_OF_A_PATH = {
    errno.EACCES,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EEXIST,
}


def _of_system(error: OSError) -> GobunError:
    """Return what the system refused as an error of ours: a path that was named, or the machine."""
    where = f" {error.filename}" if error.filename is not None else ""
    what = f"cannot use{where}: {error.strerror or error}"
    if error.errno in _OF_A_PATH:
        return UsageError(what, hint="correct the path, or choose another")
    return PrerequisiteError(what, hint="make room, or free what the machine lacks")


def _has_no_reader() -> bool:
    """Return whether nobody reads standard output any more, as after ``| head``."""
    asked = select.poll()
    asked.register(sys.stdout.fileno(), 0)
    return any(told & (select.POLLERR | select.POLLHUP) for _, told in asked.poll(0))


def variadic_paths(function: Callable[..., None]) -> Callable[..., None]:
    """Let a task take ``paths``, as many as follow its name: Invoke fixes the number of words."""
    name = function.__name__.replace("_", "-")
    words = sys.argv[sys.argv.index(name) + 1 :] if name in sys.argv else []
    count = max(1, len(list(itertools.takewhile(lambda word: not word.startswith("-"), words))))
    context, _, *flags = inspect.signature(function).parameters.values()
    names = ["path", *(f"path{number}" for number in range(2, count + 1))]
    given = [context.replace(name=each) for each in names]

    @functools.wraps(function)
    def run(context: Context, **kwargs: Any) -> None:  # noqa: ANN401 - what the flags are
        named = [path for each in names for path in glob_files(kwargs.pop(each))]
        function(context, named, **kwargs)

    run.__signature__ = inspect.Signature([context, *given, *flags])  # type: ignore[attr-defined]
    return run


def split_csv(text: str) -> tuple[str, ...]:
    """Split a comma list; empty means none given."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def given_path(text: str) -> Path:
    """Return a path of the command line, made absolute: a tool that is started works elsewhere.

    Raises:
        UsageError: no file can have this name, or its bytes are not UTF-8, which no results file
            or command line of ours could hold.
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
    """Return the files that a pattern names, or the pattern's own path where it names none."""
    path = given_path(pattern)
    try:
        found = sorted(path.parent.glob(path.name)) if path.name else []
    except (ValueError, NotImplementedError):  # no pattern: the path itself then
        found = []
    return found or [path]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def optional_number(text: str, flag: str, most: int = _LARGEST_NUMBER) -> float | None:
    """Read a number that may be left out."""
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise UsageError(f"{flag} {_shortened(text)!r} is not a number")
    if found is not None and abs(found) > most:
        raise UsageError(f"{flag} {_shortened(text)} is too large", hint=f"the most is {most:,}")
    return found


def optional_integer(text: str, flag: str, most: int = _LARGEST_NUMBER) -> int | None:
    """Read a whole number that may be left out."""
    found = optional_number(text, flag, most)
    if found is not None and not found.is_integer():
        raise UsageError(f"{flag} {_shortened(text)!r} is not a whole number")
    return None if found is None else int(found)


class RunFlags(TypedDict):
    """The fields of a request that every run of cells is given."""

    out: Path
    jobs: int | None
    limit_s: float | None
    repeat: int
    resume: bool


def run_flags(out: str, jobs: str, limit: str, repeat: str, *, resume: bool) -> RunFlags:
    """Read the flags of a run."""
    return {
        "out": given_path(out),
        "jobs": optional_integer(jobs, "--jobs"),
        "limit_s": optional_number(limit, "--limit"),
        "repeat": optional_integer(repeat, "--repeat") or 0,
        "resume": resume,
    }


def select_patches(series: str, only: str, except_: str) -> tuple[Series, tuple[Patch, ...]]:
    """Return a series, and those of its patches that the comma lists leave."""
    found = bun_source.series_named(series)
    return found, found.selected(split_csv(only), split_csv(except_))


class Selection(msgspec.Struct, frozen=True):
    """Which cells are meant: the six flags that several tasks take, split at their commas."""

    runtime: tuple[str, ...]
    versions: str
    treatment: tuple[str, ...]
    module: tuple[str, ...]
    load: tuple[str, ...]
    stress: tuple[str, ...]


def with_cell_selection(function: Callable[..., None]) -> Callable[..., None]:
    """Give a task the flags of a selection, which it takes as its parameter ``cells``."""
    context, _, *flags = inspect.signature(function).parameters.values()
    fields = [each.name for each in msgspec.structs.fields(Selection)]
    chosen = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="") for name in fields
    ]

    @functools.wraps(function)
    def run(context: Context, **kwargs: Any) -> None:  # noqa: ANN401 - what the flags are
        texts = {name: kwargs.pop(name, "") for name in fields}
        versions = texts.pop("versions")
        texts["runtime"] = texts["runtime"] or "bun"
        parts = {name: split_csv(text) for name, text in texts.items()}
        function(context, Selection(versions=versions, **parts), **kwargs)

    keyword = inspect.Parameter.KEYWORD_ONLY
    named = [*chosen, *(flag.replace(kind=keyword) for flag in flags)]
    run.__signature__ = inspect.Signature([context, *named])  # type: ignore[attr-defined]
    return run
