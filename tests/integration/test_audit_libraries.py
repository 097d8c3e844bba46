"""The audit on real libraries, built with the pinned Zig. Each rule is kept, then broken."""

from __future__ import annotations

import random
import struct
import subprocess
from typing import TYPE_CHECKING

import lief
import pytest

from gobun import audit, paths, toolchain
from gobun.audit import LibraryReport, Rules
from gobun.errors import UsageError
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

GOOD_SOURCE = (
    "int getpid(void);\n"
    "int Warmup(void) { return getpid(); }\n"
    "int WarmupGoRuntime(void) { return 1; }\n"
)
NEW_GLIBC = "#include <pthread.h>\nvoid *Warmup(void) { return (void *)&pthread_create; }\n"
LEAKY_SOURCE = 'const char *Warmup(void) { return "/home/someone/project/x.c"; }\n'
STATIC_TLS = (
    'static __thread int seen __attribute__((tls_model("initial-exec")));\n'
    "int Warmup(void) { return ++seen; }\n"
)
DYNAMIC_TLS = "__thread int seen;\nint Warmup(void) { return ++seen; }\n"
PROGRAM = "int main(void) { return 0; }\n"

LINUX = "x86_64-linux-gnu.2.17"
ARM_LINUX = "aarch64-linux-gnu.2.17"
DARWIN = "aarch64-macos.13.0"
PAGE = 0x4000  # of arm64 macOS
FLAGS = ("-O2", "-g0", "-s", "-fPIC", "-fno-sanitize=undefined")


class Maker:
    """Makes each library once per session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], Path] = {}

    def __call__(self, source: str, triple: str, *flags: str, suffix: str = ".so") -> Path:
        if flags != ("-c",) and "-no-shared" not in flags:
            flags = ("-shared", *flags)
        words = tuple(flag for flag in flags if flag != "-no-shared")
        key = (source, triple, *words, suffix)
        if key not in self._made:
            stem = self._folder / f"made{len(self._made)}"
            stem.with_suffix(".c").write_text(source)
            self._made[key] = stem.with_suffix(suffix)
            self._zig(
                "cc",
                *("-target", triple, *FLAGS, *words),
                *("-o", str(stem.with_suffix(suffix)), str(stem.with_suffix(".c"))),
            )
        return self._made[key]

    def archive(self, member: Path) -> Path:
        self._zig("ar", "rcs", str(self._folder / "made.a"), str(member))
        return self._folder / "made.a"

    def _zig(self, *words: str) -> None:
        cache = str(paths.cache_root() / "zig")
        environment = {
            "PATH": "",
            "ZIG_GLOBAL_CACHE_DIR": cache,
            "ZIG_LOCAL_CACHE_DIR": cache,
            "HOME": str(self._folder),
        }
        command = [str(toolchain.zig().program), *words]
        completed = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("libraries"))


def dylib(make: Maker, triple: str = DARWIN, name: str = "@rpath/w.dylib") -> Path:
    return make(GOOD_SOURCE, triple, f"-Wl,-install_name,{name}", suffix=".dylib")


def write_changed(path: Path, folder: Path, at: int, new: bytes) -> Path:
    data = path.read_bytes()
    result = folder / path.name
    result.write_bytes(data[:at] + new + data[at + len(new) :])
    return result


def finding(report: LibraryReport, rules: Rules) -> str:
    (only,) = audit.check(report, rules)
    return only


@pytest.mark.parametrize("name", TARGETS)
def test_audit_correct_library_passes_on_each_target(make: Maker, name: str) -> None:
    target = TARGETS[name]
    darwin = target.os == "darwin"
    if darwin:
        path = dylib(make, target.zig_triple)
    else:
        path = make(GOOD_SOURCE, target.zig_triple, "-Wl,-soname,w.so")
    report = audit.inspect(path)
    assert report.target == name.removesuffix("-musl")
    assert report.libc == (target.libc or "none")
    assert report.exports == ("Warmup", "WarmupGoRuntime")
    assert report.size == path.stat().st_size
    assert report.go is None
    assert (
        audit.check(report, audit.warmup_rules(target, file_name=f"w{target.library_suffix}")) == []
    )
    assert audit.list_concerns(report) == []


def test_audit_wrong_architecture_and_system_are_reported(make: Maker) -> None:
    report = audit.inspect(make(GOOD_SOURCE, "aarch64-linux-gnu.2.28"))
    assert finding(report, Rules(arch="x64")) == "architecture: it is arm64, and must be x64."
    findings = audit.check(report, Rules(format="mach-o", os="darwin"))
    assert findings == [
        "format: it is elf, and must be mach-o.",
        "system: it is linux, and must be darwin.",
    ]


def test_audit_extra_and_missing_exports_are_reported(make: Maker) -> None:
    report = audit.inspect(make("int Warmup, other;\nint main_of_it(void) { return 1; }\n", LINUX))
    findings = audit.check(report, Rules(exports=("Warmup", "WarmupGoRuntime")))
    assert "WarmupGoRuntime is missing" in findings[0]
    assert "main_of_it, other are exported" in findings[1]


def test_audit_hidden_symbols_are_not_exports(make: Maker) -> None:
    source = '__attribute__((visibility("hidden"))) int hidden(void) { return 1; }\n'
    for triple in (LINUX, DARWIN):
        report = audit.inspect(make(GOOD_SOURCE + source, triple))
        assert report.exports == ("Warmup", "WarmupGoRuntime")


def test_audit_newer_glibc_is_reported(make: Maker) -> None:
    report = audit.inspect(make(NEW_GLIBC, "x86_64-linux-gnu.2.34"))
    assert (report.libc, report.glibc_max) == ("glibc", "2.34")
    assert finding(report, Rules(max_glibc="2.17")) == (
        "glibc: it needs 2.34, and may need at most 2.17."
    )
    assert any("glibc 2.34" in concern for concern in audit.list_concerns(report))
    old = audit.inspect(make(NEW_GLIBC, LINUX))
    assert audit.check(old, Rules(libc="glibc", max_glibc="2.17")) == []


def test_audit_static_tls_for_musl_is_reported(make: Maker) -> None:
    source = "#include <stdio.h>\n" + STATIC_TLS.replace("++seen", "puts(0) + ++seen")
    report = audit.inspect(make(source, "x86_64-linux-musl"))
    assert (report.libc, report.glibc_max, report.static_tls) == ("musl", None, True)
    assert "musl" in finding(report, Rules(libc="glibc"))
    assert any("musl's dlopen refuses" in concern for concern in audit.list_concerns(report))


def test_audit_tls_models_are_recognised(make: Maker) -> None:
    static = audit.inspect(make(STATIC_TLS, LINUX))
    dynamic = audit.inspect(make(DYNAMIC_TLS, LINUX))
    plain = audit.inspect(make(GOOD_SOURCE, LINUX))
    assert [(report.tls, report.static_tls) for report in (static, dynamic, plain)] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert "TLS: static (initial-exec): cannot be loaded on musl" in audit.render(static)
    assert audit.inspect(make(DYNAMIC_TLS, DARWIN)).tls


def test_audit_missing_relro_is_reported(make: Maker) -> None:
    assert audit.inspect(make(GOOD_SOURCE, LINUX)).relro == "full"
    lazy = audit.inspect(make(GOOD_SOURCE, LINUX, "-Wl,-z,lazy"))
    assert finding(lazy, Rules(full_relro=True)) == "RELRO: it is partial, and must be full."
    bare = audit.inspect(make(GOOD_SOURCE, LINUX, "-Wl,-z,norelro"))
    assert finding(bare, Rules(full_relro=True)) == "RELRO: it is none, and must be full."


# glibc's stack is executable by default on x64, and is not on arm64.
@pytest.mark.parametrize(("target", "by_default"), [(LINUX, True), (ARM_LINUX, False)])
def test_audit_executable_stack_is_reported(
    make: Maker, tmp_path: Path, target: str, by_default: bool
) -> None:
    # Zig refuses -z execstack, so the flag is set where the linker would have set it.
    path = make(GOOD_SOURCE, target)
    data = path.read_bytes()
    segments_at, count = struct.unpack_from("<Q", data, 32)[0], data[56]
    (flags_at,) = (
        at + 4
        for at in range(segments_at, segments_at + 56 * count, 56)
        if struct.unpack_from("<I", data, at)[0] == 0x6474E551
    )
    report = audit.inspect(write_changed(path, tmp_path, flags_at, b"\x07"))
    assert not audit.inspect(path).executable_stack
    assert finding(report, Rules(no_executable_stack=True)).startswith("stack:")
    unsaid = audit.inspect(write_changed(path, tmp_path, flags_at - 4, b"\0\0\0\0"))
    assert unsaid.executable_stack is by_default


def test_audit_text_relocations_are_reported(make: Maker) -> None:
    report = audit.inspect(make(GOOD_SOURCE, LINUX, "-Wl,-z,notext"))
    assert finding(report, Rules(no_text_relocations=True)).startswith("text relocations:")


def test_audit_build_path_is_reported(make: Maker) -> None:
    for triple, flag in ((LINUX, "-Wl,-soname,w"), (DARWIN, "-Wl,-install_name,w")):
        report = audit.inspect(make(LEAKY_SOURCE, triple, flag))
        assert report.build_paths == ("/home/someone/project/x.c",)
        assert finding(report, Rules(no_build_paths=True)).startswith(
            "build paths: /home/someone/project/x.c is inside"
        )


def test_audit_default_install_name_is_a_build_path(make: Maker) -> None:
    path = make(GOOD_SOURCE, DARWIN)
    report = audit.inspect(path)
    assert report.install_name == str(path)
    assert report.build_paths == (str(path),)


def test_audit_size_over_the_limit_is_reported(make: Maker) -> None:
    path = make(GOOD_SOURCE, LINUX)
    report, size = audit.inspect(path), path.stat().st_size
    assert audit.check(report, Rules(max_bytes=size)) == []
    assert finding(report, Rules(max_bytes=size - 1)).startswith(f"size: it is {size:,} bytes")


def test_audit_names_search_paths_and_unloading_are_checked(make: Maker) -> None:
    flags = ("-Wl,-soname,it.so", "-Wl,-rpath,/opt/x:$ORIGIN", "-Wl,-z,nodelete")
    report = audit.inspect(make(GOOD_SOURCE, LINUX, *flags))
    assert (report.install_name, report.nodelete) == ("it.so", True)
    assert report.runpath == ("/opt/x", "$ORIGIN")
    assert any("/opt/x" in concern for concern in audit.list_concerns(report))
    assert "it.so" in finding(report, Rules(install_name="other.so"))
    assert audit.inspect(make(GOOD_SOURCE, LINUX)).install_name is None
    assert audit.inspect(make(GOOD_SOURCE, DARWIN, "-Wl,-rpath,@loader_path")).runpath == (
        "@loader_path",
    )


def test_audit_library_needed_by_path_is_reported(make: Maker) -> None:
    fixed = make(GOOD_SOURCE, LINUX, "-Wl,-soname,/opt/x/libfixed.so")
    source = "int Warmup(void);\nint call(void) { return Warmup(); }\n"
    report = audit.inspect(make(source, LINUX, str(fixed)))
    assert "/opt/x/libfixed.so" in report.needed
    assert any("at exactly this path" in concern for concern in audit.list_concerns(report))


def test_audit_other_macos_and_install_name_are_reported(make: Maker) -> None:
    report = audit.inspect(dylib(make, "aarch64-macos.14.0", "@rpath/other.dylib"))
    assert audit.check(
        report, audit.warmup_rules(TARGETS["darwin-arm64"], file_name="w.dylib")
    ) == [
        "install name: it is @rpath/other.dylib, and must be @rpath/w.dylib.",
        "oldest macOS: it is 14.0, and must be 13.0.",
    ]


def test_audit_flipped_byte_in_signed_page_is_reported(make: Maker, tmp_path: Path) -> None:
    path = dylib(make)
    report = audit.inspect(path)
    assert report.signature is not None
    assert report.signature.kind == "ad-hoc"
    data = path.read_bytes()
    # The last byte of each page, because the first bytes are headers.
    for page in range(report.signature.pages - 1):
        at = (page + 1) * PAGE - 1
        broken = audit.inspect(write_changed(path, tmp_path, at, bytes([data[at] ^ 1])))
        rules = audit.warmup_rules(TARGETS["darwin-arm64"], file_name="w.dylib")
        assert finding(broken, rules) == (
            f"signature: it is invalid (page {page} (from byte {page * PAGE:#x}) is not what was "
            "signed), and must be ad-hoc."
        )
        assert any("signature is invalid" in concern for concern in audit.list_concerns(broken))


def test_audit_unsigned_arm64_library_is_reported(make: Maker, tmp_path: Path) -> None:
    binary = lief.MachO.parse(str(dylib(make)))
    assert binary is not None
    assert binary[0] is not None
    binary[0].remove_signature()
    binary.write(str(tmp_path / "bare.dylib"))
    report = audit.inspect(tmp_path / "bare.dylib")
    assert finding(report, Rules(signatures=("ad-hoc",))) == (
        "signature: it is none, and must be ad-hoc."
    )
    assert any("not signed" in concern for concern in audit.list_concerns(report))
    assert audit.inspect(dylib(make, "x86_64-macos.13.0")).signature == audit.Signature("none")


def test_audit_macos_bundle_is_an_addon(make: Maker, tmp_path: Path) -> None:
    path = write_changed(dylib(make), tmp_path, 12, struct.pack("<I", 8))
    assert audit.inspect(path).exports == ("Warmup", "WarmupGoRuntime")


def universal(folder: Path, *pieces: Path) -> Path:
    cpus = {"x64": (0x01000007, 3), "arm64": (0x0100000C, 0)}
    head = struct.pack(">II", 0xCAFEBABE, len(pieces))
    body = b""
    for index, piece in enumerate(pieces):
        data, at = piece.read_bytes(), 0x4000 + len(body)
        arch = audit.inspect(piece).arch
        assert index < 2
        head += struct.pack(">5I", *cpus[arch], at, len(data), 14)
        body += data + b"\0" * (-len(data) % 0x4000)
    result = folder / "universal.dylib"
    result.write_bytes(head.ljust(0x4000, b"\0") + body)
    return result


def test_audit_universal_file_reports_each_slice(make: Maker, tmp_path: Path) -> None:
    both = universal(tmp_path, dylib(make, "x86_64-macos.13.0"), dylib(make))
    intel, arm = audit.audit_files([both])
    assert (intel.arch, arm.arch) == ("x64", "arm64")
    assert intel.slices == arm.slices == ("x64", "arm64")
    assert arm.size == dylib(make).stat().st_size
    assert arm.signature is not None
    assert arm.signature.kind == "ad-hoc"
    with pytest.raises(UsageError, match="universal file of x64, arm64"):
        audit.inspect(both)


def test_audit_universal_file_with_one_slice_is_accepted(make: Maker, tmp_path: Path) -> None:
    assert audit.inspect(universal(tmp_path, dylib(make))).slices == ("arm64",)


def test_audit_other_file_is_rejected(make: Maker) -> None:
    for triple in (LINUX, DARWIN):
        member = make(GOOD_SOURCE, triple, "-c", suffix=".o")
        with pytest.raises(UsageError, match="object file"):
            audit.inspect(member)
        with pytest.raises(UsageError, match="is an executable"):
            audit.inspect(make(PROGRAM, triple, "-no-shared", suffix=".exe"))
        with pytest.raises(UsageError, match="static archive"):
            audit.inspect(make.archive(member))
    with pytest.raises(UsageError, match="is an executable"):
        audit.inspect(make(PROGRAM, LINUX, "-no-shared", "-pie", suffix=".exe"))


def test_audit_several_files_keep_their_order(make: Maker) -> None:
    inputs = [make(GOOD_SOURCE, LINUX), dylib(make)]
    assert [report.path for report in audit.audit_files(inputs)] == inputs


@pytest.mark.parametrize("triple", [LINUX, DARWIN])
def test_audit_damaged_library_is_reported_or_harmless(
    make: Maker, tmp_path: Path, triple: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = make(GOOD_SOURCE, triple).read_bytes()
    path = tmp_path / "damaged.so"
    cuts = [*range(0, min(len(data), 2048), 41), *range(0, len(data), len(data) // 40)]
    for at in cuts:
        path.write_bytes(data[:at])
        with pytest.raises(UsageError):
            audit.inspect(path)
    dice = random.Random(triple)  # noqa: S311 - the same damage in every run
    hints: set[str | None] = set()
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(dice.choice([1, 4, 30])):
            at = dice.randrange(dice.choice([len(data), 1024]))
            damaged[at] = dice.choice([0, 0x7F, 0x80, 0xFF, dice.randrange(256)])
        path.write_bytes(damaged)
        try:
            audit.render(audit.inspect(path))
        except UsageError as error:
            hints.add(error.hint)
    assert hints
    assert None not in hints
    assert capfd.readouterr() == ("", "")
