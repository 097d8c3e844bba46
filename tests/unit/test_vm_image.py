"""The parts of a guest's image: kernel modules in order, and the initial RAM disk."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun.errors import FetchError, UsageError
from gobun.vm import initramfs, kernel_modules
from gobun.vm.architectures import RELEASES, architecture, check_kernel, check_release
from gobun.vm.run import MachineRequest

if TYPE_CHECKING:
    from pathlib import Path


def module(*depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"


def kernel(folder: Path, modules: dict[str, bytes], builtin: tuple[str, ...] = ()) -> Path:
    for name, data in modules.items():
        path = folder / "kernel" / "drivers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "modules.builtin").write_text("".join(f"kernel/{each}.ko\n" for each in builtin))
    return folder


def test_modules_in_order_puts_dependencies_first(tmp_path: Path) -> None:
    folder = kernel(
        tmp_path,
        {
            "9p.ko": module("9pnet", "netfs"),
            "9pnet.ko": module(),
            "netfs.ko.xz": lzma.compress(module("virtio-ring")),
            "virtio_ring.ko": module("virtio"),
        },
        builtin=("virtio",),
    )
    modules = kernel_modules.modules_in_order(folder, ["9p", "virtio_ring"])

    assert [name for name, _ in modules] == ["9pnet", "virtio_ring", "netfs", "9p"]
    assert dict(modules)["netfs"] == module("virtio-ring")


def test_modules_in_order_includes_existing_optional_ones(tmp_path: Path) -> None:
    folder = kernel(tmp_path, {"ext4.ko": module(), "crc32c_generic.ko": module()})

    modules = kernel_modules.modules_in_order(folder, ["ext4"])
    assert [name for name, _ in modules] == ["crc32c_generic", "ext4"]


def test_modules_in_order_missing_module_is_named(tmp_path: Path) -> None:
    folder = kernel(tmp_path, {"9p.ko": module("fscache")})
    with pytest.raises(FetchError, match="has no module fscache"):
        kernel_modules.modules_in_order(folder, ["9p"])


def test_pack_writes_members_that_can_be_read_back() -> None:
    members = [initramfs.Member("bin"), initramfs.Member("bin/init", b"#!x\n", 0o755)]
    packed = initramfs.pack(members)
    data = gzip.decompress(packed)

    assert packed == initramfs.pack(members)
    unpacked, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        at = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        unpacked.append((name, fields[1], data[at : at + size]))
        at = (at + size + 3) // 4 * 4
    assert unpacked == [("bin", 0o040755, b""), ("bin/init", 0o100755, b"#!x\n")]


def test_architecture_unknown_is_rejected_with_the_known() -> None:
    assert architecture("arm64").target.name == "linux-arm64"
    with pytest.raises(UsageError, match="unknown architecture 'riscv64'"):
        architecture("riscv64")


def test_release_unknown_is_rejected_with_the_known() -> None:
    for name in RELEASES:
        check_release(name)
    with pytest.raises(UsageError, match="unknown Debian release 'buster'"):
        check_release("buster")


def test_kernel_flavour_is_the_end_of_a_package_name() -> None:
    usual = MachineRequest(arch="arm64", release="trixie")
    large_pages = msgspec.structs.replace(usual, kernel="arm64-16k")
    assert usual.image.kernel_package == "linux-image-arm64"
    assert large_pages.image.kernel_package == "linux-image-arm64-16k"
    assert (
        large_pages.repeat_command == "invoke vm --arch arm64 --release trixie --kernel arm64-16k"
    )
    assert "--kernel" not in usual.repeat_command


@pytest.mark.parametrize("flavour", ["../x", "arm64 16k", "-y", "a=1"])
def test_kernel_flavour_with_other_characters_is_rejected(flavour: str) -> None:
    check_kernel("arm64-16k")
    with pytest.raises(UsageError, match="is not a kernel flavour"):
        check_kernel(flavour)
