"""Runs a user's command in the foreground of this terminal, as a shell would run it.

The command keeps the terminal, the process group and the environment. So Ctrl-C, Ctrl-Z and a
closed terminal affect it as they do without this program. This program forwards signals from other
processes. The command continues if this program is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

from gobun import observe
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Signals that this program forwards to the command, and that would otherwise end this program."""

_BY_KERNEL = 0x80
"""``SI_KERNEL``: the terminal sent it, to the whole process group."""
_AFTER_INTERRUPT_S = 5.0
"""Seconds after Ctrl-C in which a signal from the parent process is not forwarded. A parent such as
nox sends it to end this program, and the command has received the Ctrl-C itself."""
_GRACE_S = 3.0
_LOOK_S = 0.5


class Foreground:
    """A running command. Use as a context manager: signals are held back inside."""

    def __init__(self, command: Sequence[str], *, wrapper: Sequence[str] = ()) -> None:
        """Start ``command``.

        ``wrapper`` is a program with arguments that starts first and replaces itself with the
        command.

        Raises:
            PrerequisiteError: it cannot be started.
            ValueError: an argument contains a NUL.
        """
        self._held_signals = {*PASSED_ON, signal.SIGCHLD}
        self._original_mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._held_signals)
        self._interrupted_at = float("-inf")
        try:
            # preexec_fn is safe, because this program has no other threads yet. Nothing else can
            # restore the signal mask in the child.
            self._child = subprocess.Popen([*wrapper, *command], preexec_fn=self._let_through)  # noqa: PLW1509
        except BaseException as error:  # a NUL in an argument raises ValueError
            self._let_through()
            if isinstance(error, OSError):
                message = f"cannot run {command[0]}: {error.strerror}"
                raise PrerequisiteError(
                    message, hint="check the path of the program and its permissions"
                ) from error
            raise

    @property
    def pid(self) -> int:
        """The process id of the command itself."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while signal.sigtimedwait(self._held_signals, 0) is not None:
            pass  # those signals were for the command
        self._let_through()

    def wait(self, on_tick: Callable[[], None] = lambda: None) -> int:
        """Wait until the command ends, and return its exit code, negative for a signal.

        ``on_tick`` is called about twice a second, and may raise to stop waiting.
        """
        while (code := self._child.poll()) is None:
            on_tick()
            if (received := signal.sigtimedwait(self._held_signals, _LOOK_S)) is not None:
                self._pass_on(received)
        return code

    def end(self) -> int:
        """End the command and its descendants, and return the exit code of the command.

        The command gets SIGTERM. Once it has ended, or after three seconds, SIGKILL ends it and all
        of its descendants.
        """
        with contextlib.ExitStack() as stack:
            family = list(_handles(observe.family(self.pid), stack))
            self._child.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_S
            while self._child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            for handle in family:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
        return self._child.wait()

    def _pass_on(self, received: signal.struct_siginfo) -> None:
        now = time.monotonic()
        if received.si_signo == signal.SIGCHLD:
            return
        if received.si_code == _BY_KERNEL:
            self._interrupted_at = now
            return
        by_wrapper = (
            received.si_pid == os.getppid() and now - self._interrupted_at < _AFTER_INTERRUPT_S
        )
        if not by_wrapper:
            self._child.send_signal(received.si_signo)

    def _let_through(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._original_mask)


def _handles(pids: Iterable[int], stack: contextlib.ExitStack) -> Iterator[int]:
    """Yield pidfds. Unlike a process id, a pidfd never refers to a later process."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            stack.callback(os.close, handle)
            yield handle
