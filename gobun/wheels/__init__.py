"""Releases of the tools that pip brings beside the pinned ones, each in a folder of the cache."""

from gobun.wheels.install import Wanted, installed
from gobun.wheels.lock import Lock, read_lock
from gobun.wheels.update import Added, update_lock

__all__ = ["Added", "Lock", "Wanted", "installed", "read_lock", "update_lock"]
