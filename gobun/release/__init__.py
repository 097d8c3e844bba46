"""What is given away: the loader's npm package, releases, and the way back from a release."""

from gobun.release.loader import pack_loader
from gobun.release.version import check_version

__all__ = ["check_version", "pack_loader"]
