"""How a checkout of Bun is built: which of upstream's build systems it has, and what that pins.

Everything is read from the checkout; nothing here names a version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

Era = Literal["cmake", "build.ts", "cargo"]

_NOT_BUILT = ("bench/", "docs/", "examples/", "packages/bun-vscode/", "test/")
_VENDORED = ("packages/", "src/deps/")
_TESTS = frozenset(("fuzz", "fuzzing", "test", "testdata", "tests"))
"""Folders of tests and fuzzers in vendored code. Bun's own ``src/bun.js/test`` is compiled."""


def is_built(path: str) -> bool:
    """Return whether a build of Bun may read the file ``path`` of a checkout."""
    if path.startswith(_VENDORED) and not _TESTS.isdisjoint(path.split("/")[:-1]):
        return False
    return not path.startswith(_NOT_BUILT)


_HOST = re.compile(r"https://([a-z0-9][a-z0-9.-]*\.[a-z]{2,})/\S*\$\{")
"""An address with something to fill in, which links for people have not."""
_IN_WORDS = re.compile(r"#|//|\*|/\*|hint:")
_FETCHES = re.compile(r"download|releases|archive|dist/", re.IGNORECASE)
_PINS: dict[str, tuple[tuple[str, str], ...]] = {
    "webkit": (
        ("cmake/tools/SetupWebKit.cmake", r"set\(WEBKIT_VERSION\s+([\w.-]+)\)"),
        ("scripts/build/deps/webkit.ts", r'WEBKIT_VERSION\s*=\s*"([\w.-]+)"'),
    ),
    "zig": (
        ("cmake/tools/SetupZig.cmake", r'set\(ZIG_COMMIT\s+"?([\w.-]+)"?\)'),
        ("scripts/build/zig.ts", r'ZIG_COMMIT\s*=\s*"([\w.-]+)"'),
    ),
    "llvm": (
        ("cmake/tools/SetupLLVM.cmake", r'DEFAULT_LLVM_VERSION\s+"([\d.]+)"'),
        ("scripts/build/tools.ts", r'LLVM_VERSION\s*=\s*"([\d.]+)"'),
    ),
    "rust": (("rust-toolchain.toml", r'channel\s*=\s*"([\w.-]+)"'),),
}


class BuildLayout(msgspec.Struct, frozen=True):
    """What a checkout says of its build."""

    era: Era
    version: str
    """The release that it calls itself."""
    pins: dict[str, str]
    """What it is built with, as far as it says: webkit, zig, llvm, rust."""
    hosts: tuple[str, ...]
    """Where its build scripts download from."""
    scripts: tuple[str, ...]
    """The scripts of its ``package.json``."""

    @property
    def llvm_range(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The oldest LLVM that its scripts take, and the first that they do not."""
        if "llvm" not in self.pins:
            return None
        major, minor = (int(part) for part in self.pins["llvm"].split(".")[:2])
        above = (major + 1,) if self.era == "cmake" else (major, minor, 99)
        return (major, minor), above


class _Package(msgspec.Struct):
    version: str = ""
    scripts: dict[str, str] = {}


def read_layout(tree: Path) -> BuildLayout:
    """Find out how a checkout is built.

    Raises:
        UsageError: it is none of the layouts known here.
    """
    if (tree / "scripts/build.ts").is_file():
        era: Era = "cargo" if (tree / "Cargo.toml").is_file() else "build.ts"
    elif (tree / "CMakeLists.txt").is_file():
        era = "cmake"
    else:
        raise UsageError(
            f"{tree} has neither CMakeLists.txt nor scripts/build.ts",
            hint="this release is built in a way that is not known here: build it by its own "
            "instructions, and `invoke register-bun` the executable",
        )
    try:
        package = msgspec.json.decode((tree / "package.json").read_bytes(), type=_Package)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{tree / 'package.json'} cannot be read: {error}") from error
    pins = {name: found for name, places in _PINS.items() if (found := _pin(tree, places))}
    return BuildLayout(era, package.version, pins, _hosts(tree, era), tuple(package.scripts))


def _pin(tree: Path, places: tuple[tuple[str, str], ...]) -> str | None:
    for name, pattern in places:
        path = tree / name
        found = re.search(pattern, path.read_text(errors="replace")) if path.is_file() else None
        if found:
            return found[1]
    return None


def _hosts(tree: Path, era: Era) -> tuple[str, ...]:
    """Return the hosts in lines that speak of downloads; links in comments are not among them."""
    below = {"cmake": ("cmake", "*.cmake")}.get(era, ("scripts/build", "*.ts"))
    found: set[str] = set()
    for path in (tree / below[0]).rglob(below[1]):
        for line in path.read_text(errors="replace").splitlines():
            code = line.strip()
            if _FETCHES.search(code) and not _IN_WORDS.match(code):
                found.update(_HOST.findall(code))
    return tuple(sorted(found))
