"""Runs musl programs on a glibc machine, with musl's loader and the C++ library in a folder.

This needs neither root nor a container. A program names its loader by path, and musl's loader finds
its libraries with a file beside it. So it is enough to copy the program and point it at the loader
in the cache.
"""

from gobun.sysroot.assemble import Sysroot, sysroot_for
from gobun.sysroot.loader import own_libc

__all__ = ["Sysroot", "own_libc", "sysroot_for"]
