"""Runs Go and Zig. Equal sources give equal bytes on every machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from gobun import cache, paths, toolchain
from gobun.build import go_modules, macho
from gobun.errors import BuildError, GobunError, PrerequisiteError
from gobun.process import Finished, run_tool
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gobun.targets import Target
    from gobun.toolchain import Tool


_DISK_FULL = "no space left on device"


class GoFlags(msgspec.Struct, frozen=True):
    """Flags for one run of ``go build``."""

    included: str = ""
    """Digest of C sources outside the package's folder, because Go's cache ignores those."""
    compiler: tuple[str, ...] = ()
    """Words of ``-gcflags=all=``."""
    linker: tuple[str, ...] = ("-s", "-w", "-buildid=")
    """Words of ``-ldflags=``."""
    experiment: str = ""
    """Value of ``GOEXPERIMENT``."""
    tags: tuple[str, ...] = ()
    """Build tags."""

    @classmethod
    def compact(cls, go_version: str) -> GoFlags:
        """Return the flags for the smallest library that this Go release can make.

        They turn off inlining, the padding of functions, and the copies of the allocator that Go
        specialises for each size. Compact code is slower, but keeps all run-time checks.
        """
        version = Version(go_version)
        default = cls()
        return cls(
            compiler=("-l",),
            linker=(*default.linker, *(["-funcalign=1"] if version >= Version("1.25") else [])),
            experiment="nosizespecializedmalloc" if version >= Version("1.26") else "",
        )

    @property
    def manifest_flags(self) -> tuple[str, ...]:
        """These flags as ``go build`` takes them, for a manifest."""
        compiler = f"-gcflags=all={' '.join(self.compiler)}"
        return (compiler, f"-ldflags={' '.join(self.linker)}", f"GOEXPERIMENT={self.experiment}")


def quoted(word: str) -> str:
    """Quote a word for a list that Go splits itself (CC, -ldflags). Go's lists have no escapes.

    Raises:
        BuildError: the word holds both kinds of quotes.
    """
    if not any(c in word for c in " \t'\""):
        return word
    for mark in "'\"":
        if mark not in word:
            return f"{mark}{word}{mark}"
    raise BuildError(
        f"{word!r} holds both kinds of quotes, and Go accepts no such flag",
        hint="move the checkout, GOBUN_CACHE or TMPDIR to a plainer path",
    )


def zig_environment() -> dict[str, str]:
    """Return the environment variables that set Zig's cache folder."""
    folder = _tool_cache("zig")
    return {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}


def _tool_cache(name: str) -> str:
    folder = paths.cache_root() / name
    cache.pin(folder)
    return str(folder)


def go_environment(target: Target, go: Tool, zig: Tool, flags: GoFlags) -> dict[str, str]:
    """Return the environment for Go. It overrides the user's own Go settings."""
    compiler = [quoted(str(zig.program)), "cc", "-target", target.zig_triple]
    c_flags = ["-O2", "-g0", "-fno-asynchronous-unwind-tables", "-fvisibility=hidden"]
    if flags.included:  # The compiler ignores it, but it is part of the key of Go's cache.
        c_flags.append(f"-DINCLUDED={flags.included}")
    return {
        **zig_environment(),
        "CC": " ".join(compiler),
        "CGO_CFLAGS": " ".join(c_flags),
        "CGO_ENABLED": "1",
        "GOARCH": target.goarch,
        "GOCACHE": _tool_cache("go-build"),
        "GOENV": "off",
        "GOEXPERIMENT": flags.experiment,
        "GOFLAGS": "",
        "GOOS": target.os,
        "GOPATH": _tool_cache("gopath"),
        "GOPROXY": "off",  # gobun.build.go_modules has fetched all modules.
        "GOROOT": str(go.program.parent.parent),
        "GOTELEMETRY": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def shared_link_flags(
    target: Target, *, name: str, exports: Sequence[str], scratch: Path
) -> list[str]:
    """Return the linker's flags for a library file ``name`` that exports only ``exports``.

    Write the list of exports to a file in the folder ``scratch``.
    """
    if target.os == "darwin":  # Zig's Mach-O linker accepts a list of exports but ignores it.
        return [f"-Wl,-install_name,@rpath/{name}"]
    script = scratch / "exports.map"
    names = "".join(f" {export};" for export in exports)
    script.write_text(f"{{ global:{names} local: *; }};\n")
    return [
        "-s",
        "-Xlinker",  # not -Wl, because the path may contain a comma
        f"--version-script={script}",
        f"-Wl,-soname,{name}",
        "-Wl,--hash-style=gnu",
        "-Wl,--build-id=none",
        "-Wl,-z,relro,-z,now",
        "-Wl,-z,nodelete",  # A Go runtime cannot be unloaded.
    ]


def go_shared(
    package: str,
    *,
    target: Target,
    go: Tool,
    output: Path,
    exports: Sequence[str],
    flags: GoFlags | None = None,
    link_arguments: Sequence[str] = (),
) -> None:
    """Compile a package of ``go/`` for ``target`` into a library (``-buildmode=c-shared``).

    ``link_arguments`` are extra arguments for the external linker.

    Raises:
        PrerequisiteError: a tool is missing, or the disk is full.
        BuildError: Go, the C compiler or the linker failed.
        FetchError: a Go module could not be fetched.
    """
    flags = flags or GoFlags()
    with scratch_folder("build") as temporary:
        linker_words = shared_link_flags(
            target, name=output.name, exports=exports, scratch=temporary
        )
        if target.os == "darwin":
            linker_words.append(f"-F{_stub_frameworks(temporary)}")
        external = " ".join(quoted(word) for word in (*linker_words, *link_arguments))
        linker = [*flags.linker, quoted(f"-extldflags={external}")]
        _go_build(
            "c-shared",
            package=package,
            target=target,
            go=go,
            output=output,
            flags=flags,
            linker=linker,
        )
    if target.os == "darwin":
        macho.make_deterministic(output)


def go_archive(
    package: str, *, target: Target, go: Tool, output: Path, flags: GoFlags | None = None
) -> None:
    """Compile a package of ``go/`` for ``target`` into an archive (``-buildmode=c-archive``).

    Raises:
        PrerequisiteError: a tool is missing, or the disk is full.
        BuildError: Go or the C compiler failed.
        FetchError: a Go module could not be fetched.
    """
    flags = flags or GoFlags()
    with scratch_folder("build") as temporary:
        linker = [*flags.linker, quoted(f"-extar={_archiver(temporary)}")]
        _go_build(
            "c-archive",
            package=package,
            target=target,
            go=go,
            output=output,
            flags=flags,
            linker=linker,
        )


def _go_build(
    mode: str,
    *,
    package: str,
    target: Target,
    go: Tool,
    output: Path,
    flags: GoFlags,
    linker: Sequence[str],
) -> None:
    flag_arguments = [f"-buildmode={mode}"]
    if flags.compiler:
        flag_arguments.append(f"-gcflags=all={' '.join(flags.compiler)}")
    if flags.tags:
        flag_arguments.append(f"-tags={','.join(flags.tags)}")
    environment = go_environment(target, go, toolchain.zig(), flags)
    folder, name = paths.GO_SOURCES, f"./{package}"
    if go_modules.has_dependencies(folder / package):
        folder, name = folder / package, "."
        go_modules.fetch_modules(folder, go, environment)
    title = f"go/{package} for {target.name}"
    run_go_build(
        go, [*flag_arguments, name], linker, title=title, cwd=folder, env=environment, output=output
    )
    # Go also writes a header, which nobody uses.
    output.with_suffix(".h").unlink(missing_ok=True)


def run_go_build(
    go: Tool,
    arguments: Sequence[str],
    linker: Sequence[str],
    *,
    title: str,
    cwd: Path,
    env: Mapping[str, str],
    output: Path,
) -> None:
    """Run ``go build``. Its result contains no folder names and no state of the checkout.

    The last of ``arguments`` is the package. ``title`` names the result in an error.

    Raises:
        PrerequisiteError: Go cannot be started, or the disk is full.
        BuildError: Go, the C compiler or the linker failed.
    """
    *flags, package = arguments
    command: list[str | Path] = [go.program, "build", *flags, "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", " ".join(linker), "-o", output, package]
    # Go and its linker leave their temporary files behind when a signal ends them.
    with scratch_folder("go") as temporary:
        completed = run_tool(command, cwd=cwd, env={**env, "TMPDIR": str(temporary)})
    if completed.code != 0:
        raise _build_error(f"Go {go.version} could not build {title}", completed)


def _stub_frameworks(folder: Path) -> Path:
    """Write a stub of CoreFoundation. Older Go links to it on darwin-arm64, but never calls it."""
    framework = folder / "CoreFoundation.framework"
    framework.mkdir()
    (framework / "CoreFoundation.tbd").write_text(
        "--- !tapi-tbd\n"
        "tbd-version: 4\n"
        "targets: [ x86_64-macos, arm64-macos ]\n"
        "install-name: /System/Library/Frameworks/CoreFoundation.framework/"
        "Versions/A/CoreFoundation\n"
        "...\n"
    )
    return folder


def _archiver(folder: Path) -> Path:
    """Wrap ``zig ar`` in a script, because Go's linker takes a program without arguments."""
    script = folder / "ar"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(toolchain.zig().program))} ar "$@"\n')
    script.chmod(0o755)
    return script


def c_shared(
    inputs: Sequence[Path],
    *,
    target: Target,
    output: Path,
    exports: Sequence[str],
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
) -> None:
    """Compile and link C sources and archives into a library or an addon.

    Functions of the runtime (``napi_*``) may stay undefined.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the linker failed.
    """
    arguments: list[str | Path] = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    arguments += [f"-I{folder}" for folder in includes]
    if target.os == "darwin":
        arguments += ["-undefined", "dynamic_lookup"]
    with scratch_folder("build") as temporary:
        arguments += shared_link_flags(target, name=output.name, exports=exports, scratch=temporary)
        _zig_cc(target, [*arguments, *flags, *inputs, "-o", output])
    if target.os == "darwin":
        macho.make_deterministic(output)


def c_archive(source: Path, *, target: Target, output: Path) -> None:
    """Compile one C source into a static library. Its member has the name of the source.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the archiver failed.
    """
    member = source.with_suffix(".o")
    flags = ["-c", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    # A path in the object would differ between machines.
    flags.append(f"-ffile-prefix-map={source.parent}=.")
    _zig_cc(target, [*flags, source, "-o", member])
    zig = toolchain.zig().program
    completed = run_tool([zig, "ar", "rcsD", output, member], env=zig_environment())
    if completed.code != 0:
        raise _build_error(f"zig ar could not build {output.name} for {target.name}", completed)
    member.unlink()


def c_program(*sources: Path, target: Target, output: Path, libraries: Sequence[str] = ()) -> None:
    """Compile C sources into a program, and link it with ``libraries``, such as ``dl``.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the linker failed.
    """
    link_flags = [f"-l{library}" for library in libraries]
    # By default Zig links programs for musl statically, and such a program cannot load a library.
    link_flags += ["-dynamic"] if libraries and target.libc == "musl" else []
    _zig_cc(target, ["-s", "-Wall", "-Wextra", "-Werror", *sources, *link_flags, "-o", output])


def _zig_cc(target: Target, arguments: Sequence[str | Path]) -> None:
    zig = toolchain.zig().program
    command = [zig, "cc", "-target", target.zig_triple, "-O2", "-g0", *arguments]
    completed = run_tool(command, env=zig_environment())
    if completed.code != 0:
        output = Path(arguments[-1]).name
        raise _build_error(f"zig cc could not build {output} for {target.name}", completed)


def freestanding(source: Path, triple: str, flags: Sequence[str], output: Path) -> None:
    """Run ``zig cc`` on one C file or object, with exactly these flags.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the linker failed.
    """
    arguments: list[str | Path] = ["cc", "-target", triple, *flags, source, "-o", output]
    command = [toolchain.zig().program, *arguments]
    completed = run_tool(command, env=zig_environment())
    if completed.code != 0:
        raise _build_error(f"zig cc could not build {output.name} for {triple}", completed)


def _build_error(failure: str, completed: Finished) -> GobunError:
    if _DISK_FULL in completed.tail.casefold():
        return PrerequisiteError(
            f"{failure}: {_DISK_FULL}",
            hint="free space for the cache (GOBUN_CACHE) and for temporary files (TMPDIR)",
        )
    return BuildError(
        f"{failure}:\n{completed.tail}",
        hint="the first lines above name the cause; `invoke doctor` checks the tools",
    )
