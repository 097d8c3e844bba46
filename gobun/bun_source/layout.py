"""Reads how a checkout of Bun is built: its build system, and the tools that it pins.

All facts come from the checkout. No version of Bun appears here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gobun.bun_source.build_systems import Era, build_system_of
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.bun_source.build_systems import BuildSystem

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
"""A URL with a placeholder. Links for people have none."""
_IN_WORDS = re.compile(r"#|//|\*|/\*|hint:")
_FETCHES = re.compile(r"download|releases|archive|dist/", re.IGNORECASE)


class BuildLayout(msgspec.Struct, frozen=True):
    """The facts about its build that a checkout states."""

    era: Era
    version: str
    """The release that the checkout claims to be."""
    pins: dict[str, str]
    """The versions of its tools, as far as it pins them: webkit, zig, llvm, rust."""
    hosts: tuple[str, ...]
    """The hosts that its build scripts download from."""
    scripts: tuple[str, ...]
    """The scripts of its ``package.json``."""

    @property
    def llvm_range(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The oldest LLVM that its scripts accept, and the first newer one that they reject."""
        if "llvm" not in self.pins:
            return None
        low = tuple(int(part) for part in self.pins["llvm"].split(".")[:2])
        above = (*low, 99) if self.era in {"build.ts", "cargo"} else (low[0] + 1,)
        return low, above


class _Package(msgspec.Struct):
    scripts: dict[str, str] = {}


def read_layout(tree: Path) -> BuildLayout:
    """Detect how a checkout is built.

    Raises:
        UsageError: its layout is unknown, or its ``package.json`` is damaged.
    """
    system = build_system_of(tree)
    try:
        package = msgspec.json.decode((tree / "package.json").read_bytes(), type=_Package)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{tree / 'package.json'} cannot be read: {error}") from error
    parts = [place.find(tree) for place in system.version]
    version = ".".join(part for part in parts if part) if all(parts) else ""
    pins = {name: found for name, place in system.pins.items() if (found := place.find(tree))}
    return BuildLayout(system.era, version, pins, _hosts(tree, system), tuple(package.scripts))


def _hosts(tree: Path, system: BuildSystem) -> tuple[str, ...]:
    """Return the hosts in lines that download files. Links in comments do not count."""
    if system.scripts is None:
        return ()
    folder, pattern = system.scripts
    found: set[str] = set()
    for path in (tree / folder).rglob(pattern):
        for line in path.read_text(errors="replace").splitlines():
            code = line.strip()
            if _FETCHES.search(code) and not _IN_WORDS.match(code):
                found.update(_HOST.findall(code))
    return tuple(sorted(found))
