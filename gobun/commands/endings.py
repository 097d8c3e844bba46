"""The ways a task ends: an error with its exit code, a signal, or a reader that has gone."""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from gobun.console import show_error
from gobun.errors import GobunError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a task. They come from Ctrl-C, a CI system or ``timeout``, a closed terminal."""

_CLEANING_S = 3.0
"""For this many seconds after such a signal, others are ignored, because the task is already ending
its processes."""


class _EndedError(KeyboardInterrupt):
    """A signal that ends a task and everything that the task started."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end_by_signals() -> None:
    """Turn each signal that ends a task into an exception, unless this process ignores it."""
    began = -math.inf

    def end(number: int, _: object) -> None:
        nonlocal began
        if time.monotonic() - began > _CLEANING_S:
            began = time.monotonic()
            raise _EndedError(number)

    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, end)


@contextlib.contextmanager
def quiet_without_reader() -> Iterator[None]:
    """Exit quietly when the reader of standard output has gone (``| head``).

    Raises:
        SystemExit: the reader has gone. The exit code is that of a process that SIGPIPE ended.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _has_no_reader():
            raise
        # Python flushes once more at its end, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


def with_readable_errors(function: Callable[..., None]) -> Callable[..., None]:
    """Turn each error into one readable message and the exit code of its class."""

    @functools.wraps(function)
    def run(*args: object, **kwargs: object) -> None:
        _end_by_signals()
        try:
            with quiet_without_reader():
                function(*args, **kwargs)
        except GobunError as error:
            show_error(f"error: {error}")
            raise SystemExit(error.exit_code) from None
        except OSError as error:
            failure = _of_system(error)
            show_error(f"error: {failure}")
            raise SystemExit(failure.exit_code) from None
        except KeyboardInterrupt as error:
            show_error("interrupted")
            number = error.number if isinstance(error, _EndedError) else signal.SIGINT
            raise SystemExit(128 + number) from None

    return run


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
    """Translate a system error into an error about a named path, or about the machine."""
    where = f" {error.filename}" if error.filename is not None else ""
    message = f"cannot use{where}: {error.strerror or error}"
    if error.errno in _OF_A_PATH:
        return UsageError(message, hint="correct the path, or choose another")
    return PrerequisiteError(
        message, hint="free disk space, or the other resource that has run out"
    )


def _has_no_reader() -> bool:
    """Return whether the reader of standard output has gone, as after ``| head``."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))
