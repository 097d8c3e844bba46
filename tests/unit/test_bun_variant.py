"""Which of Bun's builds a machine can run."""

from __future__ import annotations

import pytest

from gobun.runtimes import bun
from gobun.targets import TARGETS


@pytest.mark.parametrize(
    ("target", "libc", "flags", "variant"),
    [
        ("linux-x64", "glibc", {"sse4_2", "avx2"}, ""),
        ("linux-x64", "glibc", {"sse4_2", "avx"}, "baseline"),
        ("linux-x64", "", {"avx2"}, "musl"),
        ("linux-arm64", "glibc", set(), ""),
        ("darwin-x64", "", set(), ""),
    ],
)
def test_bun_variant_fits_the_processor(
    monkeypatch: pytest.MonkeyPatch, target: str, libc: str, flags: set[str], variant: str
) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(bun, "_cpu_flags", lambda: flags)
    assert bun.bun_variant(TARGETS[target]) == variant
