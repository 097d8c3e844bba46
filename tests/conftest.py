"""Sets up the environment of every test."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from gobun import sysroot
from gobun.build.compile import zig_environment
from gobun.errors import FetchError, PrerequisiteError

if TYPE_CHECKING:
    from gobun.sysroot import Sysroot

# A shell ignores these signals for tests in the background. Programs that a test starts would
# inherit that, and Ctrl-C would not end them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

# The tests start hundreds of commands. Without bytecode files each would compile the suite again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests run Zig as a user's C compiler. With a cache of its own, each would make libc again.
os.environ.update(zig_environment())


@pytest.fixture(scope="session")
def musl() -> Sysroot:
    """Return the folder in which programs for musl run on this machine."""
    try:
        return sysroot.sysroot_for("linux-x64-musl")
    except (PrerequisiteError, FetchError) as error:
        pytest.skip(f"no sysroot of musl: {error.what}")
