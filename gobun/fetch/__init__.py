"""Downloads npm packages and files of releases.

npm gives the address of a package. The lock file gives its digest, or the registry does if the
package is not locked. No archive is opened before its bytes match. Files of a release come from an
address that a person names, and must match the release's checksums.
"""

from gobun.fetch.address import check_address
from gobun.fetch.connectivity import unreachable_hosts
from gobun.fetch.http_files import fetch_files
from gobun.fetch.npm_lock import Lock, read_lock
from gobun.fetch.npm_lock_update import LockSummary, update_lock
from gobun.fetch.package import (
    ENGINE_PACKAGE,
    HEADERS_PACKAGE,
    Package,
    bun_package,
    bun_packages,
    webkit_package,
    webkit_packages,
)
from gobun.fetch.package_cache import cached_versions, fetch_packages, package_folder
from gobun.fetch.versions import dist_tags, published_versions

__all__ = [
    "ENGINE_PACKAGE",
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
    "unreachable_hosts",
    "update_lock",
    "webkit_package",
    "webkit_packages",
]
