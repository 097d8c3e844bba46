"""The only code that downloads.

npm says where a package is, the lock file says what it must be, and nothing is opened before
the two agree with the bytes that came.
"""

from gobun.fetch.lock import Lock, read_lock
from gobun.fetch.names import HEADERS_PACKAGE, Package, bun_package, bun_packages
from gobun.fetch.reach import unreachable
from gobun.fetch.store import cached_versions, fetch_packages, package_folder
from gobun.fetch.update import LockSummary, update_lock
from gobun.fetch.versions import dist_tags, published_versions

__all__ = [
    "HEADERS_PACKAGE",
    "Lock",
    "LockSummary",
    "Package",
    "bun_package",
    "bun_packages",
    "cached_versions",
    "dist_tags",
    "fetch_packages",
    "package_folder",
    "published_versions",
    "read_lock",
    "unreachable",
    "update_lock",
]
