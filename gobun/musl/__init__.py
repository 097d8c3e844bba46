"""Converts Go libraries that were built for any Linux, so that a musl process can ``dlopen`` them.

``convert`` edits the bytes of a finished library. ``support_of`` lists the reasons why a library
does not load. This package does not compile, fetch or write files; ``gobun.build.musl`` does.
"""

from gobun.musl.convert import Conversion, NativeCode, convert
from gobun.musl.fortify import Adapters, read_adapters
from gobun.musl.libc import missing_functions
from gobun.musl.support import MuslSupport, support_of

__all__ = [
    "Adapters",
    "Conversion",
    "MuslSupport",
    "NativeCode",
    "convert",
    "missing_functions",
    "read_adapters",
    "support_of",
]
