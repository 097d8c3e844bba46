"""The guard as a Go package that a maintainer copies into their module."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import gobun
from gobun import files, paths
from gobun.build.guard_source import PUBLIC_HEADER, one_file
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_TAGS = "//go:build linux && cgo && (amd64 || arm64)\n\n"

_PACKAGE = """\
// Package goguard keeps Bun's thread suspension working next to this module's Go runtime.
//
// Import it for its side effect from any package of the module, best from package main:
//
//	import _ "example.com/your/module/internal/goguard"
//
// On Linux a constructor in C then installs the guard while the library is loaded, before Go's
// runtime starts. On other systems, and without cgo, the package is empty.
package goguard

// Version is the release of the guard that this folder holds.
const Version = "{version}"
"""

_CGO = """\
package goguard

// #cgo CFLAGS: -O2 -fvisibility=hidden
// #include "go-guard.h"
import "C"

// A linker takes an object from an archive only if something refers to it.
var _ = C.GuardVersion()
"""

_README = """\
# goguard {version}

The signal guard, for a Go module that is built as a shared library or an addon and loaded in Bun.
Copy this folder into your module as `internal/goguard` and add one line to package main:

```go
import _ "example.com/your/module/internal/goguard"
```

Nothing else changes: no build flag, no call, no dependency. The guard installs itself while the
library is loaded, before Go's runtime starts. `GO_WARMUP_GUARD=0` in the environment leaves it out.

- Linux on x86-64 and arm64, with gcc, clang or `zig cc`, for glibc and musl, `-buildmode=c-shared`
  and `c-archive`. On macOS and Windows, and with `CGO_ENABLED=0`, the package is empty.
- Put one copy into a library. With two, the linker reports `multiple definition of GuardInstall`.
  Several libraries in one process may each contain a copy.
- The library exports no symbol of the guard.

`goguard.c` is generated. To update, run `invoke vendor-guard --out DIR` of a newer release and copy
the folder again. `VERSION` names the release and the SHA-256 of `goguard.c`.
"""


def vendor_guard(out: Path) -> list[Path]:
    """Write the package into the folder ``out``, and return its files.

    It replaces a package that an earlier release wrote there.

    Raises:
        UsageError: ``out`` is a file, or a folder with Go or C files of another package.
        PrerequisiteError: the folder cannot be written.
    """
    contents = _contents()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="give --out a folder, such as internal/goguard")
    other_files = [
        path.name
        for path in (sorted(out.iterdir()) if out.is_dir() else [])
        if path.suffix in {".go", ".c", ".h", ".s", ".S"} and path.name not in contents
    ]
    if other_files:
        raise UsageError(
            f"{out} holds another Go package already: {', '.join(other_files[:5])}",
            hint="give --out a folder of its own, such as internal/goguard",
        )
    for name, text in contents.items():
        files.write_whole(out / name, text)
    return [out / name for name in contents]


def _contents() -> dict[str, str]:
    source = _TAGS + one_file()
    digest = hashlib.sha256(source.encode()).hexdigest()
    version = gobun.__version__
    return {
        "LICENSE": (paths.ROOT / "LICENSE").read_text(),
        "README.md": _README.format(version=version),
        "VERSION": f"{version}\n{digest}  goguard.c\n",
        "go-guard.h": PUBLIC_HEADER.read_text(),
        "goguard.c": source,
        "goguard.go": _PACKAGE.format(version=version),
        "goguard_linux.go": _TAGS + _CGO,
    }
