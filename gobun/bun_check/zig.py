"""Checks a single Zig file, without the files that it imports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gobun.errors import UsageError
from gobun.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.toolchain import Tool

WHEELS = (("1.2.", "0.14.1"), ("1.3.", "0.15.2"))
"""For each line of Bun, the release of Zig's wheel that is closest to the fork that builds it."""


def wheel_for(version: str, named: str = "") -> str:
    """Return the release of Zig that checks Bun ``version``.

    ``named`` is the release that the series builds with, if it names one.

    Raises:
        UsageError: the table has no release for it.
    """
    if named:
        return named
    for line, wheel in WHEELS:
        if version.startswith(line):
            return wheel
    raise UsageError(
        f"there is no known Zig for Bun {version}",
        hint="add it to the table in gobun/bun_check/zig.py",
    )


def faults(zig: Tool, path: str, content: bytes, folder: Path) -> dict[str, str]:
    """Return the first error of ``zig fmt --check`` and of ``zig ast-check``, or empty texts."""
    file = folder / path.replace("/", "+")
    file.write_bytes(content)
    answers = {}
    for name, words in (("zig fmt", ["fmt", "--check"]), ("zig ast-check", ["ast-check"])):
        completed = run_tool([zig.program, *words, file], timeout_s=120)
        problem = _first_error(completed.tail or "is not formatted", file, path)
        answers[name] = "" if completed.code == 0 else problem
    file.unlink()
    return answers


def _first_error(text: str, file: Path, path: str) -> str:
    named = text.replace(str(file), path)
    match = re.search(r"^.*error: .*$", named, re.MULTILINE)
    return match[0] if match else "is not formatted as `zig fmt` does it"
