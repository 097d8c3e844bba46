"""Assembles the image of a guest from Debian's packages, once, without root.

An image is a kernel, an initial RAM disk, and a file system with Python, gdb and the wheels that
the suite imports. It contains nothing of this checkout: the suite, the runtimes and the modules are
shared with the guest when it runs.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, debian, files, paths
from gobun.build import build_store
from gobun.errors import FetchError, PrerequisiteError
from gobun.process import run_tool
from gobun.vm import initramfs, kernel_modules
from gobun.vm.architectures import RELEASES, Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence


SITE = "opt/gobun"
"""The folder of Python packages, below the root of the guest."""

_PACKAGES = ("bash", "coreutils", "dash", "gdb", "grep", "procps", "python3", "sed", "util-linux")
_BUSYBOX = "busybox-static"
_ARCHIVE_HINT = "check the network, or name an archive with --mirror"
_ROOM_BYTES = 3 << 30
_SPARE_BYTES = 64 << 20
_MKE2FS = ("/usr/sbin/mke2fs", "/sbin/mke2fs")
_UUID = "67f1c0de-0000-4000-8000-000000000015"
_TIMEOUT_S = 900.0


class Image(msgspec.Struct, frozen=True):
    """The files that a guest boots from."""

    kernel: Path
    initrd: Path
    disk: Path
    release: str
    kernel_version: str


class ImageRecord(msgspec.Struct, frozen=True):
    """The sources of an image, in ``image.json`` beside it."""

    release: str
    kernel_version: str
    packages: dict[str, str]
    """File name of each package, to its SHA-256."""
    wheels: dict[str, str]
    """Python package to its version."""


class ImageRequest(msgspec.Struct, frozen=True):
    """The image that a guest needs."""

    arch: Architecture
    release: str
    kernel: str = ""
    """Flavour of Debian's kernel, such as ``arm64-16k``; empty for the usual one."""
    mirror: str = ""

    @property
    def kernel_package(self) -> str:
        """The metapackage of its kernel."""
        return f"linux-image-{self.kernel or self.arch.debian}"


def image_for(request: ImageRequest) -> Image:
    """Return the image of a guest, assembled if it is missing.

    Raises:
        PrerequisiteError: apt, mke2fs or disk space is missing.
        FetchError: a package could not be fetched.
    """
    versions = _own_packages()
    sources = [*sorted(Path(__file__).parent.glob("*")), Path(debian.__file__)]
    recipe = build_store.Recipe(
        f"vm-{request.release}-{request.kernel or request.arch.name}",
        tuple(
            (path.name, files.sha256_of(path))
            for path in sources
            if path.name in {"image.py", "init", "initramfs.py", "kernel_modules.py", "debian.py"}
        ),
        (
            *(request.arch.debian, request.release, request.kernel_package),
            *(f"{name} {version}" for name, version in versions.items()),
        ),
    )

    def make_image(folder: Path) -> None:
        _check_room(folder)
        _assemble(request, versions, folder)

    folder = build_store.built(recipe, make_image)
    record = msgspec.json.decode((folder / "image.json").read_bytes(), type=ImageRecord)
    return Image(
        folder / "vmlinuz",
        folder / "initrd.gz",
        folder / "root.ext4",
        request.release,
        record.kernel_version,
    )


def _own_packages() -> dict[str, str]:
    """Return the packages that the suite depends on, each in the version that is installed here."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in project["dependencies"]]
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _ROOM_BYTES:
        raise PrerequisiteError(
            f"an image takes {_ROOM_BYTES >> 30} GiB while it is made, and {paths.cache_root()} has"
            f" {free / (1 << 30):.1f} GiB left",
            hint="free space there, or set GOBUN_CACHE to a folder on another disk",
        )


def _assemble(request: ImageRequest, versions: dict[str, str], folder: Path) -> None:
    mke2fs, arch, release = _mke2fs(), request.arch, request.release
    with files.temporary_sibling(folder) as staged:
        apt_folder, root, kernel = staged / "apt", staged / "root", staged / "kernel"
        apt_folder.mkdir()
        apt = debian.Apt(
            arch.debian, release, apt_folder, hint=_ARCHIVE_HINT, mirror=request.mirror
        )
        console.log(f"fetching the packages of Debian {release} for {arch.debian}")
        image = apt.download(apt.first_dependency(request.kernel_package))
        packages = apt.download_all([*_PACKAGES, _BUSYBOX])
        console.log(f"unpacking {console.pluralize(len(packages), 'package')}")
        for subfolder in ("bin", "lib", "sbin"):
            (root / "usr" / subfolder).mkdir(parents=True)
            (root / subfolder).symlink_to(f"usr/{subfolder}")
        for package in packages:
            debian.unpack(package, root)
        debian.unpack(image, kernel)
        version = _pack_kernel(kernel, root, folder)
        _install_wheels(arch, release, versions, root / SITE)
        _make_disk(mke2fs, root, folder / "root.ext4")
        digests = {path.name: files.sha256_of(path) for path in [*packages, image]}
    record = ImageRecord(release, version, digests, versions)
    files.write_whole(folder / "image.json", msgspec.json.format(msgspec.json.encode(record)))


def _pack_kernel(kernel: Path, root: Path, folder: Path) -> str:
    """Put the kernel and its RAM disk into ``folder``, and return the kernel's version."""
    images = sorted((kernel / "boot").glob("vmlinuz-*"))
    busybox = [each for each in (root / "usr/bin/busybox", root / "bin/busybox") if each.is_file()]
    if len(images) != 1 or not busybox:
        raise FetchError(
            "the downloaded packages contain no kernel or no busybox", hint=_ARCHIVE_HINT
        )
    version = images[0].name.removeprefix("vmlinuz-")
    candidates = [
        kernel / "lib" / "modules" / version,
        kernel / "usr" / "lib" / "modules" / version,
    ]
    modules = kernel_modules.modules_in_order(next(each for each in candidates if each.is_dir()))
    members = [
        initramfs.Member("bin"),
        initramfs.Member("bin/busybox", busybox[0].read_bytes()),
        initramfs.Member("init", (Path(__file__).parent / "init").read_bytes()),
        initramfs.Member("modules"),
    ]
    members += [
        initramfs.Member(f"modules/{number:02}-{name}.ko", data, 0o644)
        for number, (name, data) in enumerate(modules)
    ]
    files.copy_whole(images[0], folder / "vmlinuz")
    files.write_whole(folder / "initrd.gz", initramfs.pack(members))
    return version


def _install_wheels(
    arch: Architecture, release: str, versions: dict[str, str], folder: Path
) -> None:
    console.log("installing the suite's Python packages for the guest")
    machine = arch.target.machine
    tags = [f"manylinux_2_{minor}_{machine}" for minor in (17, 27, 28, 34)]
    tags.append(f"manylinux2014_{machine}")
    command: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", RELEASES[release], "--target", folder]
    command += [word for tag in tags for word in ("--platform", tag)]
    command += [f"{name}=={version}" for name, version in versions.items()]
    completed = run_tool(command, timeout_s=_TIMEOUT_S)
    if completed.code != 0:
        raise FetchError(
            f"pip could not install the suite's packages for {arch.name}:\n{completed.tail}",
            hint="check the network and pip's configuration",
        )


def _make_disk(mke2fs: str, root: Path, disk: Path) -> None:
    for path in ("usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / path, ignore_errors=True)
    used = sum(each.lstat().st_size + 4096 for each in root.rglob("*"))
    size_kib = (used * 11 // 10 + _SPARE_BYTES) // 1024
    command: Sequence[str | Path] = [
        *(mke2fs, "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0"),
        *("-U", _UUID, "-E", f"root_owner=0:0,hash_seed={_UUID}", "-d", root, disk),
        f"{size_kib}k",
    ]
    completed = run_tool(command, timeout_s=_TIMEOUT_S)
    if completed.code != 0:
        raise PrerequisiteError(
            f"mke2fs failed:\n{completed.tail}", hint="check the free disk space"
        )


def _mke2fs() -> str:
    program = shutil.which("mke2fs") or next((p for p in _MKE2FS if Path(p).is_file()), None)
    if program is None:
        raise PrerequisiteError(
            "mke2fs is missing, and the guest's disk needs it", hint="apt-get install e2fsprogs"
        )
    return program
