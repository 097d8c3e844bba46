"""The command lines of Go and Zig: from sources to libraries, the same bytes everywhere."""

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
    """The flags of Go. Compact code is slower, but keeps all checks."""

    included: str = ""
    """Identity of C sources outside of the package's folder, which Go does not look at."""

    compiler: tuple[str, ...] = ()
    linker: tuple[str, ...] = ("-s", "-w", "-buildid=")
    experiment: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def compact(cls, go_version: str) -> GoFlags:
        """Return the flags for the smallest library that this Go release can make.

        Functions are not inlined and not padded, and (where the release has them) the copies
        of the allocator that Go specialises for each size are left out.
        """
        version = Version(go_version)
        plain = cls()
        return cls(
            compiler=("-l",),
            linker=(*plain.linker, *(["-funcalign=1"] if version >= Version("1.25") else [])),
            experiment="nosizespecializedmalloc" if version >= Version("1.26") else "",
        )

    @property
    def described(self) -> tuple[str, ...]:
        """These flags in the form of ``go build``, for a manifest."""
        compiler = f"-gcflags=all={' '.join(self.compiler)}"
        return (compiler, f"-ldflags={' '.join(self.linker)}", f"GOEXPERIMENT={self.experiment}")


def quoted(word: str) -> str:
    """Quote a word for the lists that Go splits itself (CC, -ldflags): it knows no escapes.

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
    """Return the environment that names the cache folder of Zig."""
    folder = _tool_cache("zig")
    return {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}


def _tool_cache(name: str) -> str:
    folder = paths.cache_root() / name
    cache.pin(folder)
    return str(folder)


def go_environment(target: Target, go: Tool, zig: Tool, flags: GoFlags) -> dict[str, str]:
    """Return Go's environment, without the user's own Go settings."""
    compiler = [quoted(str(zig.program)), "cc", "-target", target.zig_triple]
    c_flags = ["-O2", "-g0", "-fno-asynchronous-unwind-tables", "-fvisibility=hidden"]
    if flags.included:  # Means nothing to the compiler, and is part of the key of Go's own cache.
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
        "GOPROXY": "off",  # gobun.build.go_modules has brought what is needed.
        "GOROOT": str(go.program.parent.parent),
        "GOTELEMETRY": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def shared_link_flags(
    target: Target, *, name: str, exports: Sequence[str], scratch: Path
) -> list[str]:
    """Return the linker's flags for a library file ``name`` that exports only ``exports``.

    Write the list of exports into ``scratch``, in the form that this target's linker reads.
    """
    if target.os == "darwin":  # Zig's Mach-O linker takes a list of exports and ignores it.
        return [f"-Wl,-install_name,@rpath/{name}"]
    script = scratch / "exports.map"
    names = "".join(f" {export};" for export in exports)
    script.write_text(f"{{ global:{names} local: *; }};\n")
    return [
        "-s",
        "-Xlinker",  # and not -Wl, because the path may hold a comma
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
    linked: Sequence[str] = (),
) -> None:
    """Compile a package of ``go/`` for ``target`` into a library (``-buildmode=c-shared``).

    ``linked`` are further words for the linker.

    Raises:
        PrerequisiteError: a tool is missing, or the disk is full.
        BuildError: Go, the C compiler or the linker failed.
    """
    flags = flags or GoFlags()
    with scratch_folder("build") as temporary:
        words = shared_link_flags(target, name=output.name, exports=exports, scratch=temporary)
        if target.os == "darwin":
            words.append(f"-F{_stub_frameworks(temporary)}")
        external = " ".join(quoted(word) for word in (*words, *linked))
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
    words = [f"-buildmode={mode}"]
    if flags.compiler:
        words.append(f"-gcflags=all={' '.join(flags.compiler)}")
    if flags.tags:
        words.append(f"-tags={','.join(flags.tags)}")
    environment = go_environment(target, go, toolchain.zig(), flags)
    folder, name = paths.GO_SOURCES, f"./{package}"
    if go_modules.has_dependencies(folder / package):
        folder, name = folder / package, "."
        go_modules.fetch_modules(folder, go, environment)
    what = f"go/{package} for {target.name}"
    run_go_build(go, [*words, name], linker, what=what, cwd=folder, env=environment, output=output)
    # Go writes a header of its own beside the library, of which nobody needs the preamble.
    output.with_suffix(".h").unlink(missing_ok=True)


def run_go_build(
    go: Tool,
    words: Sequence[str],
    linker: Sequence[str],
    *,
    what: str,
    cwd: Path,
    env: Mapping[str, str],
    output: Path,
) -> None:
    """Run ``go build`` so that the result contains no folder names and no state of the checkout.

    The last of ``words`` is the package.

    Raises:
        PrerequisiteError: Go cannot be started, or the disk is full.
        BuildError: Go, the C compiler or the linker failed.
    """
    *flags, package = words
    command: list[str | Path] = [go.program, "build", *flags, "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", " ".join(linker), "-o", output, package]
    # Go and its linker leave their temporary files behind when a signal ends them.
    with scratch_folder("go") as temporary:
        completed = run_tool(command, cwd=cwd, env={**env, "TMPDIR": str(temporary)})
    if completed.code != 0:
        raise _refused(f"Go {go.version} could not build {what}", completed)


def _stub_frameworks(folder: Path) -> Path:
    """Write a stub of CoreFoundation, which older Go links on darwin-arm64 and never calls."""
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
    """Make ``zig ar`` callable as one program, because Go's linker takes no arguments for it."""
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

    What the runtime provides (``napi_*``) may stay undefined.

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
    """Compile one C source into a static library, whose member has the name of the source.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the archiver failed.
    """
    member = source.with_suffix(".o")
    flags = ["-c", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    # Debug information and paths would differ from one machine to the next.
    flags.append(f"-ffile-prefix-map={source.parent}=.")
    _zig_cc(target, [*flags, source, "-o", member])
    zig = toolchain.zig().program
    completed = run_tool([zig, "ar", "rcsD", output, member], env=zig_environment())
    if completed.code != 0:
        raise _refused(f"zig ar could not build {output.name} for {target.name}", completed)
    member.unlink()


def c_program(*sources: Path, target: Target, output: Path, libraries: Sequence[str] = ()) -> None:
    """Compile C sources into a program, with ``libraries`` of the system.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the linker failed.
    """
    linked = [f"-l{library}" for library in libraries]
    # By default Zig links programs for musl statically, and such a program cannot load a library.
    linked += ["-dynamic"] if libraries and target.libc == "musl" else []
    _zig_cc(target, ["-s", "-Wall", "-Wextra", "-Werror", *sources, *linked, "-o", output])


def _zig_cc(target: Target, arguments: Sequence[str | Path]) -> None:
    zig = toolchain.zig().program
    command = [zig, "cc", "-target", target.zig_triple, "-O2", "-g0", *arguments]
    completed = run_tool(command, env=zig_environment())
    if completed.code != 0:
        output = Path(arguments[-1]).name
        raise _refused(f"zig cc could not build {output} for {target.name}", completed)


def freestanding(source: Path, triple: str, flags: Sequence[str], output: Path) -> None:
    """Compile one C file into a program without a libc, with exactly these flags.

    Raises:
        PrerequisiteError: Zig is missing, or the disk is full.
        BuildError: the compiler or the linker rejected it.
    """
    words: list[str | Path] = ["cc", "-target", triple, *flags, source, "-o", output]
    command = [toolchain.zig().program, *words]
    completed = run_tool(command, env=zig_environment())
    if completed.code != 0:
        raise _refused(f"zig cc could not build {output.name} for {triple}", completed)


def _refused(what: str, completed: Finished) -> GobunError:
    if _DISK_FULL in completed.tail.casefold():
        return PrerequisiteError(
            f"{what}: {_DISK_FULL}",
            hint="free space for the cache (GOBUN_CACHE) and for temporary files (TMPDIR)",
        )
    return BuildError(
        f"{what}:\n{completed.tail}",
        hint="the first lines above name the cause; `invoke doctor` checks the tools",
    )
