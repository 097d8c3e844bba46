"""Touched C++ is compiled by upstream's own command, against the headers of WebKit on npm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bun_upstream as up
import pytest
from machine import needs

from gobun import fetch, toolchain
from gobun.bun_check import cxx
from gobun.bun_source import Patch
from gobun.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.bun_check import CheckResult

BINDING = "src/bun.js/bindings/Suspend.cpp"
GOOD_SOURCE = "#include <wtf/Threading.h>\n#include <zlib.h>\nint bound() { return wtf + ZLIB; }\n"
MAKEFILE = """
CCACHE_PATH = ccache
EMIT_LLVM = -emit-llvm
src/bun.js/bindings-obj/%.o: src/bun.js/bindings/%.cpp
\t$(CCACHE_PATH) "{clang}" -I$(JSC_BASE_DIR)/include \\
\t\t-Isrc/deps/zlib $(EMIT_LLVM) \\
\t\t-c -o $@ $<
"""


class Bench:
    """A tree of the make era with one binding, and a stand-in for clang that really compiles."""

    def __init__(self, root: Path) -> None:
        self.tree, self.clang, self.zlib = root / "tree", root / "clang++-16", root / "zlib"
        up.put(self.tree, up.GOLDEN / "build-make")
        text = (self.tree / "Makefile").read_text() + MAKEFILE.format(clang=self.clang)
        up.put(self.tree, {"Makefile": text.encode(), BINDING: GOOD_SOURCE.encode()})
        up.put(self.zlib, {"zlib.h": b"#define ZLIB 1\n"})
        up.put(root / "webkit", {"include/wtf/Threading.h": b"constexpr int wtf = 1;\n"})
        self.be_clang("16.0.6")

    def be_clang(self, version: str) -> None:
        zig = toolchain.zig().program
        self.clang.write_text(
            f'#!/bin/sh\nif [ "$1" = --version ]; then echo "clang version {version}"; exit; fi\n'
            f'exec "{zig}" clang "$@"\n'
        )
        self.clang.chmod(0o755)

    def check(self, **libraries: Path | None) -> list[CheckResult]:
        patch = Patch(
            id="suspend",
            title="T",
            why="W",
            files=(BINDING, "src/main.zig"),
            upstream="not proposed",
        )
        folders = {"src/deps/zlib": self.zlib, **libraries}
        return list(cxx.compile_touched(self.tree, folders, (patch,)))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    def fetched(packages: list[fetch.Package]) -> dict[fetch.Package, Path]:
        assert [package.version for package in packages] == [
            "0.0.1-f8aa36d4737faee92bd2d1e337a2fd01a5437c61"
        ]
        return dict.fromkeys(packages, tmp_path / "webkit")

    monkeypatch.setattr(fetch, "fetch_packages", fetched)
    return Bench(tmp_path)


@needs("make")
def test_cxx_file_that_compiles_is_proven(bench: Bench) -> None:
    (finding,) = bench.check()
    assert (finding.patch, finding.check, finding.subject) == ("suspend", "compiles", BINDING)
    assert (finding.verdict, "clang 16.0.6" in finding.detail) == ("proven", True)
    assert not list(bench.tree.rglob("*.o"))


@needs("make")
def test_cxx_file_with_error_is_wrong_with_the_error(bench: Bench) -> None:
    (bench.tree / BINDING).write_text(GOOD_SOURCE + "int more() { return nowhere; }\n")
    (finding,) = bench.check()
    assert finding.verdict == "wrong"
    assert finding.detail.endswith("error: use of undeclared identifier 'nowhere'")
    assert BINDING in finding.detail


@needs("make")
def test_cxx_is_not_checked_by_another_clang(bench: Bench) -> None:
    bench.be_clang("15.0.7")
    (finding,) = bench.check()
    assert (finding.verdict, finding.detail) == (
        "not checked",
        "clang 15.0.7 is there, and upstream takes 16",
    )


def test_cxx_is_not_checked_without_a_submodule(bench: Bench) -> None:
    (finding,) = bench.check(**{"src/deps/zstd": None})
    assert (finding.verdict, finding.detail) == ("not checked", "not fetched: src/deps/zstd")


@needs("make")
def test_cxx_file_without_a_rule_is_an_error(bench: Bench) -> None:
    makefile = bench.tree / "Makefile"
    makefile.write_text(makefile.read_text().replace("bindings-obj", "elsewhere"))
    with pytest.raises(BuildError, match="has no command that compiles"):
        bench.check()


def test_cxx_of_another_build_system_is_not_checked(bench: Bench) -> None:
    (bench.tree / "src" / "build-id").unlink()
    up.put(bench.tree, {"CMakeLists.txt": b"", "cmake/tools/a.cmake": b""})
    assert bench.check() == []
