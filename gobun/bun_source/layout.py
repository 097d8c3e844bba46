"""Reads how a checkout of Bun is built: with which build system, and with which pinned tools.

Bun changed its build system four times. Each build system is one record here. `build_stages.py`
has the commands. All facts come from the checkout, so no table names a version of Bun.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_NOT_BUILT = ("bench/", "docs/", "examples/", "packages/bun-vscode/", "test/")
_VENDORED_FOLDERS = ("packages/", "src/deps/")
_TESTS = frozenset(("fuzz", "fuzzing", "test", "testdata", "tests"))
"""Folders of tests and fuzzers in vendored code. Bun's own ``src/bun.js/test`` is compiled."""
_HOST = re.compile(r"https://([a-z0-9][a-z0-9.-]*\.[a-z]{2,})/\S*\$\{")
"""A URL with a placeholder; the group is its host. Links for people have no placeholder."""
_IN_WORDS = re.compile(r"#|//|\*|/\*|hint:")
_FETCHES = re.compile(r"download|releases|archive|dist/", re.IGNORECASE)

Era = Literal["make", "cmake-1", "cmake", "build.ts", "cargo"]
"""``make`` until about 1.0.7, ``cmake-1`` (one ``CMakeLists.txt``) until 1.1.2x, ``cmake`` until
1.2, ``build.ts`` for 1.3, ``cargo`` from 1.4 on."""


class Place(msgspec.Struct, frozen=True):
    """A value in a file of the checkout."""

    file: str
    pattern: str
    """A regular expression whose first group is the value."""

    def find(self, tree: Path) -> str | None:
        """Return the value, or None if the file or the value is missing."""
        path = tree / self.file
        match = (
            re.search(self.pattern, path.read_text(errors="replace")) if path.is_file() else None
        )
        return match[1] if match else None


class BuildSystem(msgspec.Struct, frozen=True):
    """One of upstream's build systems."""

    era: Era
    signs: tuple[str, ...]
    """Files that identify it. A checkout must have all of them."""
    version: tuple[Place, ...]
    """Where to read the release. Several parts are joined by dots."""
    pins: Mapping[str, Place]
    """Where to read the pinned version of each tool."""
    scripts: tuple[str, str] | None
    """Folder and pattern of the scripts that download files during a build."""
    programs: Mapping[str, str]
    """The executable that upstream's build makes with each profile, relative to the checkout."""


_PACKAGE = (Place("package.json", r'\A\s*\{[^{}]*"version"\s*:\s*"([\w.+-]+)"'),)
_DOCKER_ZIG = Place("Dockerfile", r'ARG ZIG_VERSION="?([\w.+-]+)"?')
_SCRIPTED = {"release": "build/release/bun", "debug": "build/debug/bun-debug"}
_BUILD_TS_PINS = {
    "webkit": Place("scripts/build/deps/webkit.ts", r'WEBKIT_VERSION\s*=\s*"([\w.-]+)"'),
    "zig": Place("scripts/build/zig.ts", r'ZIG_COMMIT\s*=\s*"([\w.-]+)"'),
    "llvm": Place("scripts/build/tools.ts", r'LLVM_VERSION\s*=\s*"([\d.]+)"'),
    "rust": Place("rust-toolchain.toml", r'channel\s*=\s*"([\w.-]+)"'),
}

BUILD_SYSTEMS = (
    BuildSystem(
        "cargo",
        ("scripts/build.ts", "Cargo.toml"),
        _PACKAGE,
        _BUILD_TS_PINS,
        ("scripts/build", "*.ts"),
        _SCRIPTED,
    ),
    BuildSystem(
        "build.ts",
        ("scripts/build.ts",),
        _PACKAGE,
        _BUILD_TS_PINS,
        ("scripts/build", "*.ts"),
        _SCRIPTED,
    ),
    BuildSystem(
        "cmake",
        ("CMakeLists.txt", "cmake/tools"),
        _PACKAGE,
        {
            "webkit": Place("cmake/tools/SetupWebKit.cmake", r"set\(WEBKIT_VERSION\s+([\w.-]+)\)"),
            "zig": Place("cmake/tools/SetupZig.cmake", r'set\(ZIG_COMMIT\s+"?([\w.-]+)"?\)'),
            "llvm": Place("cmake/tools/SetupLLVM.cmake", r'DEFAULT_LLVM_VERSION\s+"([\d.]+)"'),
        },
        ("cmake", "*.cmake"),
        _SCRIPTED,
    ),
    BuildSystem(
        "cmake-1",
        ("CMakeLists.txt",),
        (Place("CMakeLists.txt", r'set\(Bun_VERSION\s+"([\w.+-]+)"\)'),),
        {
            "webkit": Place("CMakeLists.txt", r"set\(WEBKIT_TAG\s+([\w.-]+)\)"),
            "zig": _DOCKER_ZIG,
            "llvm": Place("CMakeLists.txt", r"set\(LLVM_VERSION\s+\"?([\d.]+)\"?\)"),
        },
        ("scripts", "*.sh"),
        {"release": "build-release/bun", "debug": "build/bun-debug"},
    ),
    BuildSystem(
        "make",
        ("Makefile", "build.zig", "src/build-id"),
        (
            Place("Makefile", r"BUN_BASE_VERSION\s*=\s*([\d.]+)"),
            Place("src/build-id", r"^\s*(\d+)"),
        ),
        {
            "webkit": Place("package.json", r'"bun-webkit"\s*:\s*"\d+\.\d+\.\d+-([0-9a-f]{40})"'),
            "zig": _DOCKER_ZIG,
            "llvm": Place("Makefile", r"clang\+\+-(\d+)"),
        },
        None,
        {
            **dict.fromkeys(("release", "quick"), "packages/bun-{system}-{machine}/bun"),
            "debug": "packages/debug-bun-{system}-{machine}/bun-debug",
        },
    ),
)


def build_system_of(tree: Path) -> BuildSystem:
    """Return the build system of a checkout.

    Raises:
        UsageError: its build system is unknown.
    """
    for system in BUILD_SYSTEMS:
        if all((tree / sign).exists() for sign in system.signs):
            return system
    raise UsageError(
        f"{tree} has none of the build systems known here ({', '.join(_known_systems())})",
        hint="build it with its own instructions, and register the executable with "
        "`invoke register-bun`",
    )


def _known_systems() -> list[str]:
    return [f"{system.era}: {' and '.join(system.signs)}" for system in reversed(BUILD_SYSTEMS)]


def is_built(path: str) -> bool:
    """Return whether a build of Bun may read the file ``path`` of a checkout."""
    if path.startswith(_VENDORED_FOLDERS) and not _TESTS.isdisjoint(path.split("/")[:-1]):
        return False
    return not path.startswith(_NOT_BUILT)


class BuildLayout(msgspec.Struct, frozen=True):
    """The facts about its build that a checkout states."""

    era: Era
    version: str
    """The release that the checkout claims to be, or empty if it names none."""
    pins: dict[str, str]
    """The versions of the tools that it pins: of webkit, zig, llvm and rust."""
    hosts: tuple[str, ...]
    """The hosts that its build scripts download from."""
    scripts: tuple[str, ...]
    """The names of the scripts in its ``package.json``."""

    @property
    def llvm_range(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """The LLVM versions that its scripts accept: from the first one, and below the second.

        None if it pins no LLVM.
        """
        if "llvm" not in self.pins:
            return None
        low = tuple(int(part) for part in self.pins["llvm"].split(".")[:2])
        upper = (*low, 99) if self.era in {"build.ts", "cargo"} else (low[0] + 1,)
        return low, upper


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
        raise UsageError(
            f"{tree / 'package.json'} cannot be read: {error}",
            hint="check that the folder is a checkout of Bun",
        ) from error
    parts = [place.find(tree) for place in system.version]
    version = ".".join(part for part in parts if part) if all(parts) else ""
    pins = {name: value for name, place in system.pins.items() if (value := place.find(tree))}
    return BuildLayout(system.era, version, pins, _hosts(tree, system), tuple(package.scripts))


def _hosts(tree: Path, system: BuildSystem) -> tuple[str, ...]:
    """Return the hosts in lines that download files. Links in comments do not count."""
    if system.scripts is None:
        return ()
    folder, pattern = system.scripts
    hosts: set[str] = set()
    for path in (tree / folder).rglob(pattern):
        for line in path.read_text(errors="replace").splitlines():
            code = line.strip()
            if _FETCHES.search(code) and not _IN_WORDS.match(code):
                hosts.update(_HOST.findall(code))
    return tuple(sorted(hosts))
