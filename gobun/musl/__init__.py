"""Makes a Go library that was built for any Linux load with ``dlopen`` in a musl process.

``convert`` edits the bytes of a finished library; ``support_of`` lists what keeps one from loading.
Nothing here compiles, fetches or writes files: ``gobun.build.musl`` does.
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
