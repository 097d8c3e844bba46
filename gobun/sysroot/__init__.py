"""Runs programs of musl on a machine of glibc: musl's loader, and the C++ library, in a folder.

No root and no container: a program names its loader by a path, and musl's loader finds its
libraries by a file beside it. A copy of the program that names the loader in the cache is all it
takes.
"""

from gobun.sysroot.assemble import Sysroot, sysroot_for

__all__ = ["Sysroot", "sysroot_for"]
