"""Experiments on Bun itself: patched binaries are made, kept, and run beside stock."""

from gobun.experiment.making import Wish, build, preflight, register

__all__ = ["Wish", "build", "preflight", "register"]
