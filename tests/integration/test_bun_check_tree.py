"""Real tools check a patched tree of a small upstream."""

from __future__ import annotations

import os
import resource
import shutil
from typing import TYPE_CHECKING

import bun_upstream as up
import msgspec
import pytest

from gobun import bun_check, bun_source, paths, runtimes, toolchain
from gobun.bun_check import codegen, tree_checks, zig, zig_analysis
from gobun.bun_check.tree import write_tree
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.bun_check import CheckReport, CheckResult

pytestmark = pytest.mark.network
POOL = "src/threading/ThreadPool.zig"
GLUE = "src/bindings/glue.cpp"
SOURCES = {
    "build.zig": b"""const std = @import("std");

pub fn build(b: *std.Build) void {
    const path = b.option([]const u8, "codegen_path", "generated files").?;
    _ = b.option([]const u8, "version", "");
    _ = b.option([]const u8, "sha", "");
    _ = b.option([]const u8, "reported_nodejs_version", "");
    _ = b.option(u32, "canary", "");
    _ = b.option([]const u8, "obj_format", "");
    _ = b.option(bool, "codegen_embed", "");
    const module = b.createModule(.{
        .root_source_file = b.path("src/threading/ThreadPool.zig"),
        .target = b.standardTargetOptions(.{}),
        .optimize = b.standardOptimizeOption(.{}),
    });
    module.addAnonymousImport("made", .{
        .root_source_file = .{ .cwd_relative = b.pathJoin(&.{ path, "made.zig" }) },
    });
    const check = b.addObject(.{ .name = "bun", .root_module = module });
    check.of_the_fork = true;
    check.generated_bin = null;
    b.step("check", "analyse").dependOn(&check.step);
    const object = b.addObject(.{ .name = "bun", .root_module = module });
    object.link_function_sections = true;
    const installed = b.addInstallFile(object.getEmittedBin(), "bun-zig.o");
    b.step("obj", "compile").dependOn(&installed.step);
}
""",
    "generate.js": b"""require("fs").writeFileSync(
  process.argv[2] + "/made.zig",
  "pub const megabyte: u32 = 1 << 20;\\n",
);
""",
    "list.js": b"""console.log("src/one.txt");
""",
    POOL: b"""const megabyte = @import("made").megabyte;

pub const stack_size = 4 * megabyte;

const Attributes = extern struct { bytes: [64]u8 align(8) };
extern fn pthread_attr_setstacksize(attributes: *Attributes, size: usize) c_int;

const Config = struct {
    #size: usize,

    fn of(size: usize) Config {
        return .{ .#size = size };
    }

    fn bytes(self: Config) usize {
        return self.#size;
    }
};

noinline fn spawn(attributes: *Attributes, config: Config) c_int {
    return pthread_attr_setstacksize(attributes, config.bytes());
}

noinline fn notify(attributes: *Attributes) c_int {
    return spawn(attributes, .of(stack_size)) + 1;
}

export fn wake(attributes: *Attributes) c_int {
    return notify(attributes);
}
""",
    GLUE: b'extern "C" int glue(int given)\n{\n    return given;\n}\n',
}
TABLE = """[small]
known_by = "generate.js"
packages = []
headers = ["zstd.h", "zstd_errors.h", "zdict.h"]
options = [
    "-Dcodegen_path={codegen}",
    "-Dversion={version}",
    "-Dsha={commit}",
    "-Dreported_nodejs_version=24.3.0",
    "-Dcanary=0",
]

[[small.instead]]
file = "build.zig"
says = "    check.of_the_fork ="
put = "    if (@hasField(std.Build.Step.Compile, \\"of_the_fork\\")) check.of_the_fork ="

[[small.step]]
run = ["{bun}", "run", "{tree}/list.js"]
makes = "list.txt"
prints = true

[[small.step]]
run = ["{bun}", "run", "{tree}/generate.js", "{codegen}", "{list}", "--all={commas}"]
list = "{codegen}/list.txt"
makes = "made.zig"
"""
COMPILED_TOML = """
[[patch.compiled]]
functions = 'ThreadPool\\.notify'
through = '.*spawn.*'
calls = "pthread_attr_setstacksize"
holds = 8_388_608
was = 4_194_304
"""


class Bench:
    """A checkout, and a series to which patches are added."""

    def __init__(self, root: Path) -> None:
        self.upstream = up.make_upstream(root / "upstream", SOURCES)
        self.folder = root / "patches" / up.LINE
        origin = bun_source.parse_origin(str(self.upstream.folder))
        bun_source.fetch_checkout(up.VERSION, origin, release=self.upstream.release)
        self.tree = up.tree_of(paths.cache_root())

    def patch(self, name: str, path: str, old: str, new: str) -> None:
        text = (self.tree / path).read_text()
        assert text.count(old) == 1
        (self.tree / path).write_text(text.replace(old, new))
        with bun_source.open_checkout(up.VERSION) as checkout:
            bun_source.new_patch(checkout, self.folder, name=name, title=name, reason="C1", add=())

    def check(self, depth: bun_check.Depth = "files", *, unpatched: bool = False) -> CheckReport:
        series = bun_source.read_series(self.folder)
        with bun_source.open_checkout(up.VERSION) as checkout:
            return bun_check.check_series(
                checkout, series, series.patches, depth=depth, unpatched=unpatched
            )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bun = runtimes.provide_bun(["1.4.5"], host_target())
    tool = toolchain.zig(zig.wheel_for("1.2.19"))
    shared = paths.cache_root() / f"zig-{tool.version}"
    monkeypatch.setattr(runtimes, "provide_bun", lambda *_: bun)
    monkeypatch.setattr(zig, "WHEELS", (("9.9.", tool.version),))
    monkeypatch.setattr(toolchain, "zig", lambda _: tool)
    monkeypatch.setattr(tree_checks, "zig_cache", lambda _: shared)
    monkeypatch.setattr(codegen, "TABLE", tmp_path / "codegen.toml")
    monkeypatch.setattr(zig_analysis, "INCLUDE", tmp_path / "include")
    (tmp_path / "codegen.toml").write_text(TABLE)
    (tmp_path / "include").mkdir()
    for name in ("zstd.h", "zstd_errors.h", "zdict.h"):
        (tmp_path / "include" / name).touch()
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    return Bench(tmp_path)


def failed_checks(report: CheckReport) -> set[tuple[str, str]]:
    return {(each.patch, each.check) for each in report.failures}


def finding_of(report: CheckReport, check: str) -> CheckResult:
    return next(each for each in report.findings if each.check == check)


class TestFiles:
    def test_check_bun_correct_tree_proves_every_property(self, bench: Bench) -> None:
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        bench.patch("glue", GLUE, "return given;", "return given + 1;")
        report = bench.check()
        assert {each.verdict for each in report.findings} == {"proven"}
        assert {each.check for each in report.findings} == {
            "applies alone",
            "parses",
            "keeps every function",
            "zig fmt",
            "zig ast-check",
        }

    def test_check_bun_broken_tree_names_each_fault(self, bench: Bench) -> None:
        bench.patch("format", POOL, "4 * megabyte", "4*megabyte")
        bench.patch("unknown", POOL, "return notify(attributes);", "return unheard_of(attributes);")
        bench.patch("syntax", GLUE, "return given;", "return (given;")
        bench.patch("lost", GLUE, "int glue(", "int other(")
        assert failed_checks(bench.check()) == {
            ("format", "zig fmt"),
            ("unknown", "zig fmt"),
            ("unknown", "zig ast-check"),
            ("syntax", "parses"),
            ("lost", "keeps every function"),
        }

    def test_check_bun_patch_with_missing_prerequisite_is_reported(self, bench: Bench) -> None:
        bench.patch("first", POOL, "4 * megabyte", "8 * megabyte")
        bench.patch("second", POOL, "8 * megabyte", "16 * megabyte")
        assert failed_checks(bench.check()) == {("second", "applies alone")}

    def test_check_bun_missing_required_function_is_reported(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        path = bench.folder / "series.toml"
        path.write_text(path.read_text() + 'functions = ["notify", "elsewhere"]\n')
        report = bench.check()
        assert [each.subject for each in report.failures] == ["elsewhere"]

    def test_check_bun_line_without_carried_patch_is_reported(self, bench: Bench) -> None:
        bench.folder.mkdir(parents=True)
        path = bench.folder / "series.toml"
        path.write_text(f'version = "{up.VERSION}"\nabout = "upstream has it all"\n')
        with pytest.raises(UsageError, match="carries no patch") as caught:
            bench.check()
        assert str(path) in str(caught.value)


class TestWhole:
    def test_check_bun_object_code_leaves_checkout_untouched(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        path = bench.folder / "series.toml"
        path.write_text(path.read_text() + COMPILED_TOML)
        head = up.git(bench.tree, "rev-parse", "HEAD")
        first = bench.check("object")
        assert finding_of(first, "semantic analysis").verdict == "proven"
        result = finding_of(first, "compiled constant")
        assert (result.verdict, "has 8388608" in result.detail) == ("proven", True), result
        with monkeypatch.context() as patches:
            patches.setattr(zig_analysis, "zig_build", None)
            assert bench.check("object") == first, "what was proven is not asked again"
            path.write_text(path.read_text().replace("8_388_608", "8_388_609"))
            assert failed_checks(bench.check("object")) == {("eight", "compiled constant")}
        result = finding_of(bench.check("object", unpatched=True), "compiled constant")
        assert (result.patch, result.verdict) == ("eight", "wrong")
        assert "has 4194304, as without the patch" in result.detail
        assert up.git(bench.tree, "rev-parse", "HEAD") == head
        assert up.git(bench.tree, "status", "--porcelain", "--ignored") == ""

    def test_check_bun_killed_compiler_reports_no_code_error(
        self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        real = toolchain.zig("")
        (tmp_path / "zig").mkdir()
        (tmp_path / "zig" / "lib").symlink_to(real.program.parent / "lib")
        program = tmp_path / "zig" / "zig"
        program.write_text(f'#!/bin/sh\n[ "$1" = build ] && kill -9 $$\n"{real.program}" "$@"\n')
        program.chmod(0o755)
        tool = msgspec.structs.replace(real, program=program)
        with monkeypatch.context() as short:
            short.setattr(toolchain, "zig", lambda _: tool)
            with pytest.raises(PrerequisiteError, match="failed, but not because of the code"):
                bench.check("semantics")
        report = bench.check("semantics")
        assert finding_of(report, "semantic analysis").verdict == "proven"
        (record,) = paths.cache_root().glob("bun-check/*/semantics.json")
        record.write_bytes(record.read_bytes()[:40])
        assert bench.check("semantics") == report, "what is damaged is asked again"

    def test_check_bun_error_beside_private_field_blames_tree(self, bench: Bench) -> None:
        bench.patch("lost", POOL, "return self.#size;", "return self.#size.lost;")
        report = bench.check("object")
        result = finding_of(report, "semantic analysis")
        assert result.verdict == "wrong"
        assert f"{POOL}:16:26: error: " in result.detail
        result = finding_of(report, "compiled constant")
        assert (result.verdict, result.detail) == (
            "not checked",
            "no patch says what it should hold",
        )

    def test_check_bun_missing_header_names_its_package(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / "include" / "zdict.h").unlink()
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        with pytest.raises(PrerequisiteError, match=r"zdict\.h") as caught:
            bench.check("semantics")
        assert "libzstd-dev" in str(caught.value)

    def test_check_bun_copy_without_disk_space_fails(
        self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git = tmp_path / "bin" / "git"
        git.parent.mkdir()
        # The process ignores the signal, so its writes fail as on a full disk.
        git.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {shutil.which('git')} \"$@\"\n")
        git.chmod(0o755)
        monkeypatch.setenv("PATH", f"{git.parent}{os.pathsep}{os.environ['PATH']}")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with bun_source.open_checkout(up.VERSION) as checkout:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            try:
                with pytest.raises(PrerequisiteError, match="git cannot write"):
                    write_tree(checkout.git, checkout.base, (), tmp_path / "copy")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def test_check_bun_unknown_layout_is_rejected(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / "codegen.toml").write_text(TABLE.replace("generate.js", "absent", 1))
        bench.patch("eight", POOL, "4 * megabyte", "8 * megabyte")
        result = finding_of(bench.check("semantics"), "semantic analysis")
        assert (result.verdict, "layout" in result.detail) == ("not checked", True)
