"""Texts that are paths of the build machine, and texts that are not."""

# ruff: noqa: S108 - the paths here are looked for, never opened

from __future__ import annotations

import pytest

from gobun.audit.buildpaths import find_build_paths, local_folders


def find(text: str, *folders: str) -> tuple[str, ...]:
    return find_build_paths(b"\0" + text.encode() + b"\0", folders)


def path_below(folder: str, rest: str) -> str:
    return f"/{folder}/{rest}"


@pytest.mark.parametrize(
    "path",
    [
        "/home/someone/project/x.c",
        "/home/josé/x.c",
        "/Users/someone/go/src/x.go",
        "/tmp/go-build123/b001/_cgo_main.c",
        "/var/folders/zz/abc/T/go-build1/x",
        "/private/tmp/a/b.o",
        "/builds/group/project/x.c",
        "/github/workspace/x.c",
        "/__w/repo/repo/x.c",
        "/opt/hostedtoolcache/go/1.22/x64/src/x.go",
        "/usr/local/go/src/runtime/proc.go",
        "/opt/venv/lib/python3.11/site-packages/ziglang/lib/x.c",
        path_below("root", "go/pkg/mod/x.go"),
        path_below("work", "x.c"),
        path_below("workspace", "addon/x.c"),
        path_below("tmp/.tmpX1", "x.c"),
    ],
)
def test_build_paths_are_found(path: str) -> None:
    assert find(path) == (path,)
    assert find(f'open "{path}" failed') == (path,)
    assert find(f"PATH={path}") == (path,)


@pytest.mark.parametrize(
    "text",
    [
        "/proc/self/maps",
        "/etc/ssl/certs/ca-certificates.crt",
        "/tmp",
        "/tmp/",
        "/tmp/perf-%d.map",
        "/tmp/.X11-unix/X0",
        "/usr/share/zoneinfo/Europe/Paris",
        "/usr/lib/locale/TZ/",
        "/usr/lib/libSystem.B.dylib",
        "/dev/urandom",
        "/home",
        "/home/%s/.config",
        "/opt",
        "https://example.org/home/someone/x",
        "src/home/someone/x.c",
        "math/builds/x",
        "/var/run/x/y",
    ],
)
def test_build_paths_ignore_run_time_paths(text: str) -> None:
    assert find(text) == ()


@pytest.mark.parametrize("switch", ["-I", "-L", "-B", "-F", "file://"])
def test_build_paths_attached_to_text_are_found(switch: str) -> None:
    assert find(f"{switch}/home/someone/include") == ("/home/someone/include",)


def test_build_paths_after_machine_code_are_found() -> None:
    code = b"\xc0\x03\x5f\xd6"
    assert find_build_paths(code + b"/home/someone/x.c\0", ()) == ("/home/someone/x.c",)


def test_build_paths_of_this_machine_are_found_anywhere() -> None:
    assert find("/data/ci/job/x.c", "/data/ci") == ("/data/ci/job/x.c",)
    assert find("/data/ci", "/data/ci") == ("/data/ci",)
    # Go stores strings without a separator.
    assert find("unexpected/data/ci/x.go", "/data/ci/") == ("/data/ci/x.go",)


def test_build_paths_of_this_machine_match_whole_words() -> None:
    assert find("/data/cinema/x", "/data/ci") == ()


def test_build_paths_single_word_folder_needs_a_path() -> None:
    assert find("/src", "/src") == ()
    assert find("lib/src/x.c", "/src") == ()
    assert find("/src/x.c", "/src") == ("/src/x.c",)


@pytest.mark.parametrize("folder", ["/", "/tmp", "/usr", "/usr/lib/x86_64-linux-gnu", "relative"])
def test_build_paths_common_folders_are_ignored(folder: str) -> None:
    assert find("/tmp/x /usr/x /usr/lib/x86_64-linux-gnu/libc.so.6 relative/x /x", folder) == ()


def test_build_paths_are_listed_once_and_in_order() -> None:
    text = "/tmp/b/y.c\0/tmp/a/x.c\0/tmp/b/y.c"
    assert find(text) == ("/tmp/a/x.c", "/tmp/b/y.c")


def test_build_paths_of_this_machine_are_absolute() -> None:
    assert local_folders()
    assert all(folder.startswith("/") for folder in local_folders())
