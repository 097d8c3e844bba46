"""What a check found, and all that was found about one patched tree."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["proven", "wrong", "not checked"]
ALL = "all"
"""Stands for a patch's id where a finding is about all of them."""


class CheckResult(msgspec.Struct, frozen=True):
    """One question that was asked of a patched tree."""

    patch: str
    """The id of the patch it is about, or ``all``."""
    check: str
    """What was asked."""
    subject: str
    """What it was asked of: a file, a function, the whole of Bun's Zig code."""
    verdict: Verdict
    detail: str = ""
    """Why it is wrong, or why it could not be asked."""


class CheckReport(msgspec.Struct, frozen=True):
    """All findings about one tree."""

    identity: str
    version: str
    patches: tuple[str, ...]
    findings: tuple[CheckResult, ...]

    @property
    def wrong(self) -> tuple[CheckResult, ...]:
        """What does not hold."""
        return tuple(each for each in self.findings if each.verdict == "wrong")
