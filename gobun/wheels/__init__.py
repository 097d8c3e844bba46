"""Installs releases of Python packages with pip, each into its own cache folder."""

from gobun.wheels.install import WheelRequest, installed, is_installed
from gobun.wheels.wheels_lock import Lock, read_lock
from gobun.wheels.wheels_lock_update import AddedRelease, platform_tags, update_lock

__all__ = [
    "AddedRelease",
    "Lock",
    "WheelRequest",
    "installed",
    "is_installed",
    "platform_tags",
    "read_lock",
    "update_lock",
]
