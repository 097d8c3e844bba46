"""Go (cgo) native modules in the Bun runtime, proven version by version."""

__version__ = "0.1.0"
