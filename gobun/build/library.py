"""The result type and the build steps shared by every library that we ship."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import audit, files, toolchain
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.errors import BuildError
from gobun.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.audit import Rules

AUDIT = Path(audit.__file__).parent
"""The audit's code. It decides which results pass, so recipes list it as a source."""


class BuiltLibrary(msgspec.Struct, frozen=True):
    """A built and audited library, and the header that declares its exports."""

    target: Target
    library: Path
    header: Path | None
    """None if applications call none of its exports."""
    go_version: str
    """Empty if it contains no Go."""
    zig_version: str
    flags: tuple[str, ...]
    """Go's flags. Empty if it contains no Go."""


def file_names(name: str, target: Target) -> tuple[str, str]:
    """Return the file names of a library for ``target``, and of its header.

    A name that begins with ``lib`` means a static library, as linkers expect.
    """
    stem = f"{name}-{target.name}"
    suffix = ".a" if name.startswith("lib") else target.library_suffix
    return f"{stem}{suffix}", f"{stem}.h"


def enforce_rules(library: Path, rules: Rules) -> None:
    """Reject a library that breaks its rules.

    Raises:
        BuildError: it breaks a rule. The message lists every violation.
    """
    violations = audit.check(audit.inspect(library), rules)
    if violations:
        lines = "\n".join(f"  - {violation}" for violation in violations)
        raise BuildError(f"{library.name} does not pass its audit:\n{lines}")


def build_c_library(
    name: str,
    target: Target,
    rules: Rules,
    *,
    folders: Sequence[Path],
    sources: Sequence[Path],
    includes: Sequence[Path] = (),
    header: Path | None = None,
) -> BuiltLibrary:
    """Build a C library for ``target``, or take it from the cache.

    ``folders`` contain all its sources and headers. ``sources`` are the files to compile.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed, or the library does not pass its audit.
    """
    file_name, header_name = file_names(name, target)
    zig = toolchain.zig()
    recipe = build_store.recipe(
        f"{name}-{target.name}",
        sources=[*folders, AUDIT],
        settings=(target.zig_triple, zig.version, repr(rules)),
    )

    def make(folder: Path) -> None:
        library = folder / file_name
        compiling.c_shared(
            sources, target=target, output=library, exports=rules.exports or (), includes=includes
        )
        enforce_rules(library, rules)
        if header is not None:
            files.copy_whole(header, folder / header_name)

    folder = build_store.built(recipe, make)
    built_header = None if header is None else folder / header_name
    return BuiltLibrary(target, folder / file_name, built_header, "", zig.version, ())
