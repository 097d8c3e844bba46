"""Makes a Go library that was built for any Linux load with ``dlopen`` in a musl process.

``convert`` edits the bytes of a finished library; ``support_of`` lists what keeps one from loading.
Nothing here compiles, fetches or writes files: ``gobun.build.musl`` does.
"""

from gobun.musl.convert import Conversion, convert
from gobun.musl.libc import missing_functions
from gobun.musl.support import support_of

__all__ = ["Conversion", "convert", "missing_functions", "support_of"]
