"""Go (cgo) native modules in the Bun runtime, proven version by version."""

import sys

__version__ = "0.1.0"

# Invoke turns bytecode files off. Without them, each command compiles all modules of the suite.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
