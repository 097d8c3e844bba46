"""Set up what every test relies on."""

from __future__ import annotations

import os
import signal

# A shell that runs the tests in the background has them ignore these, and every program that a test
# starts would inherit that: then Ctrl-C ends none of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

# Hundreds of commands are started; without bytecode files each would compile the suite again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
