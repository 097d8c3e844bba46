"""The only code that downloads.

npm says where a package is, the lock file says what it must be, and nothing is opened before
the two agree with the bytes that came. Files of a release come from an address that a person
names, and are held to its sums.
"""

from gobun.fetch.lock import Lock, read_lock
from gobun.fetch.names import HEADERS_PACKAGE, Package, bun_package, bun_packages
from gobun.fetch.reach import unreachable
from gobun.fetch.store import cached_versions, fetch_packages, package_folder
from gobun.fetch.update import LockSummary, update_lock
from gobun.fetch.versions import dist_tags, published_versions
from gobun.fetch.web import check_address, fetch_files

__all__ = [
    "HEADERS_PACKAGE",
    "Lock",
    "LockSummary",
    "Package",
    "bun_package",
    "bun_packages",
    "cached_versions",
    "check_address",
    "dist_tags",
    "fetch_files",
    "fetch_packages",
    "package_folder",
    "published_versions",
    "read_lock",
    "unreachable",
    "update_lock",
]
