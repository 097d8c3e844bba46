"""Detects which of upstream's build systems a checkout has, and reads the tools that it pins.

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
        found = (
            re.search(self.pattern, path.read_text(errors="replace")) if path.is_file() else None
        )
        return found[1] if found else None


class BuildSystem(msgspec.Struct, frozen=True):
    """One of upstream's build systems."""

    era: Era
    signs: tuple[str, ...]
    """Files that identify it. A checkout must have all of them."""
    version: tuple[Place, ...]
    """Where to read the release. Several parts are joined by dots."""
    pins: Mapping[str, Place]
    scripts: tuple[str, str] | None
    """Folder and pattern of the scripts that download files during a build."""
    programs: Mapping[str, str]
    """Profile to the executable that upstream's build makes, relative to the checkout."""


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
        f"{tree} has none of the build systems known here ({', '.join(_known())})",
        hint="build it by its own instructions, and register the executable with "
        "`invoke register-bun`",
    )


def _known() -> list[str]:
    return [f"{system.era}: {' and '.join(system.signs)}" for system in reversed(BUILD_SYSTEMS)]
