"""Makes, verifies and downloads releases, and packs the npm packages of the loader."""

from gobun.release.download import download_warmup
from gobun.release.loader import pack_loader
from gobun.release.make import make_release
from gobun.release.verify import verify_release
from gobun.release.version import check_version

__all__ = [
    "check_version",
    "download_warmup",
    "make_release",
    "pack_loader",
    "verify_release",
]
