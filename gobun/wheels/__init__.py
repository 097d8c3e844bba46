"""Releases of the tools that pip brings beside the pinned ones, each in a folder of the cache."""

from gobun.wheels.install import WheelRequest, installed
from gobun.wheels.wheels_lock import Lock, read_lock
from gobun.wheels.wheels_lock_update import Added, update_lock

__all__ = ["Added", "Lock", "WheelRequest", "installed", "read_lock", "update_lock"]
