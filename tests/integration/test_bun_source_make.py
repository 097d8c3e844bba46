"""A Bun of the make era is built stage by stage: the control first, then the patches on it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import bun_upstream as up
import pytest

from gobun import bun_source, patched, runtimes, toolchain
from gobun.bun_source import read_layout
from gobun.errors import BuildError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "1.0.4"


@pytest.fixture
def webkit(tmp_path: Path) -> Path:
    folder = tmp_path / "webkit"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "libJavaScriptCore.a").touch()
    return folder


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bun_source.Series:
    """A checkout of the small make upstream, and a series of one build patch and one change."""
    stock = runtimes.provide_bun([VERSION], host_target())[0].program
    monkeypatch.setattr("gobun.patched.build._stock", lambda _: runtimes.Bun(VERSION, stock))
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    upstream = up.make_upstream(tmp_path / "upstream", up.GOLDEN / "build-make")
    commits = {VERSION: upstream.release}
    monkeypatch.setattr(bun_source, "commit_of_release", commits.__getitem__)
    origin = bun_source.parse_origin(str(upstream.folder))
    tree = bun_source.fetch_checkout(VERSION, origin, release=upstream.release).folder
    folder = tmp_path / "patches" / f"v{VERSION}"
    edits = {
        "zig-release": ("build.zig", "// compiles\n"),
        "pool-stacks": ("src/pool.h", "#define POOL_STACK_MIB 8\n"),
    }
    for name, (path, text) in edits.items():
        (tree / path).write_text(text)
        with bun_source.open_checkout(VERSION) as checkout:
            bun_source.new_patch(checkout, folder, name=name, title=f"Do {name}", why="a", add=())
    toml = folder / "series.toml"
    toml.write_text(
        toml.read_text().replace('id = "zig-release"', 'id = "zig-release"\nkind = "build"')
    )
    return bun_source.read_series(folder)


def wish(
    series: bun_source.Series, webkit: Path, *, unpatched: bool = False
) -> patched.BuildRequest:
    zig = str(toolchain.zig().program)
    return patched.BuildRequest(series, unpatched=unpatched, zig=zig, webkit=str(webkit), jobs=2)


def test_make_checkout_is_recognised(series: bun_source.Series, tmp_path: Path) -> None:
    layout = read_layout(up.tree_of(tmp_path / "the cache", VERSION))
    assert (layout.era, layout.version) == ("make", VERSION)
    assert layout.pins["webkit"].startswith("f8aa36d4737f")
    assert layout.pins["zig"] == "0.12.0-dev.163+6780a6bbf"
    assert layout.llvm_range == ((16,), (17,))


def test_build_bun_control_and_patched_are_registered_separately(
    series: bun_source.Series, webkit: Path, tmp_path: Path
) -> None:
    control = patched.build_patched(wish(series, webkit, unpatched=True))
    assert (control.label, control.treatment) == ("1.0.4+self-built", "self-built")
    assert control.patches == ("zig-release",)
    assert subprocess.check_output([control.program]) == b"4\n"
    libraries = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    done = patched.build_patched(wish(series, webkit))
    assert (done.label, done.treatment) == ("1.0.4+patched", "patched")
    assert done.patches == ("zig-release", "pool-stacks")
    assert subprocess.check_output([done.program]) == b"8\n"
    assert set(runtimes.registered()) == {control, done}
    # The libraries are built once: a patch of Bun's own code does not touch them.
    assert (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text() == libraries


def test_build_bun_failed_stage_is_named_and_resumed(
    series: bun_source.Series, webkit: Path, tmp_path: Path
) -> None:
    library = webkit / "lib" / "libJavaScriptCore.a"
    library.unlink()
    with pytest.raises(BuildError, match="in the stage release-bindings"):
        patched.build_patched(wish(series, webkit))
    libraries = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    library.touch()
    patched.build_patched(wish(series, webkit))
    assert (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text() == libraries


def test_build_bun_build_patch_is_required(series: bun_source.Series) -> None:
    with pytest.raises(UsageError, match=r"unknown patch of the series v1\.0\.4 'zig-release'"):
        series.selected(without=("zig-release",))
    (kept,) = series.selected(without=("pool-stacks",))
    assert kept.id == "zig-release"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"webkit": "/no/such/folder"}, "--webkit /no/such/folder: there is no such folder"),
        ({"zig": "/no/such/zig"}, "--zig /no/such/zig: there is no such file"),
        ({"jobs": 0}, "--jobs 0 builds nothing"),
        ({"profile": "debug"}, "unknown profile 'debug'"),
    ],
)
def test_build_bun_wrong_flags_are_refused(
    series: bun_source.Series, webkit: Path, flags: dict[str, object], said: str
) -> None:
    given: dict[str, object] = {"series": series, "webkit": str(webkit), **flags}
    with pytest.raises(UsageError) as caught:
        patched.build_patched(patched.BuildRequest(**given))  # type: ignore[arg-type]
    assert said in str(caught.value)
