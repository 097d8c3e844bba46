"""What a build of a library that is given away comes to, whatever it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import audit
from gobun.errors import BuildError
from gobun.targets import Target

if TYPE_CHECKING:
    from gobun.audit import Rules


class Library(msgspec.Struct, frozen=True):
    """A built and audited library, and the header that says what it exports."""

    target: Target
    library: Path
    header: Path | None
    """None where nothing that it exports is to be called."""
    go_version: str
    """Empty where there is no Go in it."""
    zig_version: str
    flags: tuple[str, ...]


def file_stem(name: str, target: Target) -> str:
    """Return the file name of a library for ``target``, without its suffix."""
    return f"{name}-{target.name}"


def must_pass(library: Path, rules: Rules) -> None:
    """Refuse a library that does not keep to its rules.

    Raises:
        BuildError: with every finding.
    """
    findings = audit.check(audit.inspect(library), rules)
    if findings:
        listed = "\n".join(f"  - {finding}" for finding in findings)
        raise BuildError(f"{library.name} does not pass its audit:\n{listed}")
