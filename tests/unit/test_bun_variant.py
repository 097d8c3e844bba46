"""The choice of a build of Bun that a machine can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun import runtimes
from gobun.errors import UsageError
from gobun.runtimes import LacksError, bun
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

MUSL = TARGETS["linux-x64-musl"]


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
    monkeypatch.setattr(bun, "cpu_flags", lambda: flags)
    assert bun.bun_variant(TARGETS[target]) == variant


def test_release_without_musl_build_is_chosen_and_reported() -> None:
    """The lock file has 1.0.36 for glibc only."""
    chosen = runtimes.choose_versions("bun", "1.2.19,1.0.36", MUSL)
    assert chosen == ("1.0.36", "1.2.19")
    [absent] = runtimes.provide_runtimes("bun", ["1.0.36"], MUSL)
    assert (absent.name, absent.version) == ("bun", "1.0.36")
    with pytest.raises(LacksError, match=r"^Bun 1\.0\.36 has no build for musl$"):
        runtimes.treated_environment(absent, "stock")
    assert not bun.lacks_build("1.0.36", TARGETS["linux-x64"])
    assert not bun.lacks_build("1.2.19", MUSL)


def test_deno_for_musl_is_skipped_with_the_reason() -> None:
    [absent] = runtimes.provide_runtimes("deno", ["2.9.7"], MUSL)
    with pytest.raises(LacksError, match=r"^Deno has no build for musl$"):
        runtimes.treated_environment(absent, "guard")


def test_patched_bun_of_another_libc_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patched = runtimes.RegisteredBun(
        "1.2.19", "1.2", "0" * 16, "0" * 40, (), whole=True, target="linux-x64"
    )
    monkeypatch.setattr(bun, "registered_as", lambda _: [patched])
    monkeypatch.setattr("gobun.paths.cache_root", lambda: tmp_path)
    with pytest.raises(UsageError, match=r"1\.2\.19\+patched was built for linux-x64, and not"):
        bun.provide_bun([patched.label], MUSL)
    [runtime] = bun.provide_bun([patched.label], TARGETS["linux-x64"])
    assert runtime.program == patched.program
