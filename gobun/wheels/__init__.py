"""Installs other releases of tools than the pinned ones with pip, each in its own cache folder."""

from gobun.wheels.install import WheelRequest, installed
from gobun.wheels.wheels_lock import Lock, read_lock
from gobun.wheels.wheels_lock_update import Added, update_lock

__all__ = ["Added", "Lock", "WheelRequest", "installed", "read_lock", "update_lock"]
