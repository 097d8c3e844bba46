"""The audit on a real Go library, made here with the pinned Go and Zig."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from gobun import audit, paths, toolchain
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """package main

import "C"

//export Warmup
func Warmup() C.int { return 1 }

func main() {}
"""
STRIP_FLAGS = "-s -w"


def build(folder: Path, target: str, flags: str, *extra: str) -> Path:
    """Build the source. The result contains its folder, unless ``extra`` has ``-trimpath``."""
    (folder / "go.mod").write_text("module example.org/it\n\ngo 1.21\n")
    (folder / "main.go").write_text(SOURCE)
    cache = paths.cache_root()
    platform = TARGETS[target]
    environment = {
        "CC": f"{toolchain.zig().program} cc -target {platform.zig_triple}",
        "CGO_ENABLED": "1",
        "GOARCH": platform.goarch,
        "GOCACHE": str(cache / "go-build"),
        "GOENV": "off",
        "GOOS": platform.os,
        "GOPATH": str(cache / "gopath"),
        "GOTOOLCHAIN": "local",
        "HOME": str(folder),
        "PATH": "",
        "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(cache / "zig"),
    }
    output = folder / f"it{platform.library_suffix}"
    command = [str(toolchain.go().program), "build", "-buildmode=c-shared", "-buildvcs=false"]
    completed = subprocess.run(
        [*command, *extra, "-ldflags", flags, "-o", str(output), "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return output


@pytest.mark.timeout(600)
def test_audit_go_library_on_linux_reports_its_build(tmp_path: Path) -> None:
    path = build(tmp_path, "linux-x64", STRIP_FLAGS, "-trimpath")
    report = audit.inspect(path)
    assert report.go is not None
    assert report.go.version.startswith(f"go{toolchain.pins()['go']}")
    assert report.go.module == "example.org/it"
    assert report.go.settings["-buildmode"] == "c-shared"
    assert report.go.settings["CGO_ENABLED"] == "1"
    assert report.go.settings["GOARCH"] == "amd64"
    assert f"go{toolchain.pins()['go']} c-shared" in audit.render(report)
    assert (report.libc, report.static_tls, report.nodelete) == ("glibc", True, True)
    assert report.relro == "full"
    assert "Warmup" in report.exports
    # A record is found without section headers too.
    data = bytearray(path.read_bytes())
    data[40:48], data[58:64] = b"\0" * 8, b"\0" * 6
    bare = tmp_path / "bare.so"
    bare.write_bytes(data)
    assert audit.inspect(bare).go == report.go


@pytest.mark.timeout(600)
def test_audit_go_library_without_trimpath_names_its_folders(tmp_path: Path) -> None:
    report = audit.inspect(build(tmp_path, "linux-x64", STRIP_FLAGS))
    assert any(str(tmp_path / "main.go") in path for path in report.build_paths)
    assert any("-trimpath" in concern for concern in audit.list_concerns(report))
