"""Records of a single check result, and of all results about one patched tree."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["proven", "wrong", "not checked"]
ALL_PATCHES = "all"
"""Replaces the patch id in a result about all patches."""


class CheckResult(msgspec.Struct, frozen=True):
    """The result of one check of a patched tree."""

    patch: str
    """The id of the checked patch, or ``all``."""
    check: str
    """The name of the check."""
    subject: str
    """The checked object: a file, a function, or all of Bun's Zig code."""
    verdict: Verdict
    detail: str = ""
    """Why the check failed, or why it could not run."""


class CheckReport(msgspec.Struct, frozen=True):
    """All check results for one tree."""

    identity: str
    version: str
    patches: tuple[str, ...]
    findings: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The failed checks."""
        return tuple(each for each in self.findings if each.verdict == "wrong")
