"""QEMU's command line, and the requirements that are checked before it starts."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import host_target
from gobun.vm import qemu
from gobun.vm.architectures import ARCHITECTURES, architecture
from gobun.vm.image import Image
from gobun.vm.qemu import Emulator, Machine, Share
from gobun.vm.run import MachineRequest, check_request, estimate, machine_of

ARM = architecture("arm64")
EMULATED_GUEST = Emulator(ARM, Path("/bin/qemu"), "7.2.22", "this machine is x64")
IMAGE = Image(Path("/k"), Path("/i"), Path("/d,1"), "bookworm", "6.1")


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_find_emulator_that_is_missing_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="qemu-system-aarch64 is not installed") as raised:
        qemu.find_emulator(ARM)
    assert "qemu-system-arm" in str(raised.value.hint)


def test_find_emulator_broken_program_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, ARM.program, "echo 'libfdt is missing' >&2; exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="does not run:\nlibfdt is missing"):
        qemu.find_emulator(ARM)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_find_emulator_on_request_returns_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    program(tmp_path, architecture(name).program, "echo 'QEMU emulator version 9.1.0 (x)'")
    monkeypatch.setenv("PATH", str(tmp_path))
    emulator = qemu.find_emulator(architecture(name), emulate=True)

    assert emulator.is_emulated
    assert emulator.name == "QEMU 9.1.0, emulated"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cannot open", r"/dev/kvm.*(No such file|Permission|not found)"),
        ("no such call", os.strerror(errno.ENOTTY)),
    ],
)
def test_why_no_kvm_names_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    fake = tmp_path / "dev" / "kvm"
    if text != "cannot open":
        fake.parent.mkdir()
        fake.touch()
    monkeypatch.setattr(qemu, "KVM", fake)
    assert re.search(words, qemu.why_no_kvm(architecture(host_target().arch)))


def test_check_memory_too_little_is_rejected_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrerequisiteError, match="100 MiB of memory cannot run"):
        qemu.check_memory(100)
    monkeypatch.setattr(qemu, "available_mib", lambda: 2000)
    with pytest.raises(PrerequisiteError, match="3072 MiB of memory does not fit: 2000 MiB"):
        qemu.check_memory(3072)
    monkeypatch.setattr(qemu, "available_mib", lambda: None)
    qemu.check_memory(3072)


def test_command_shares_folders_read_only_unless_written() -> None:
    shares = [Share("suite", Path("/a,b")), Share("out", Path("/o"), writable=True)]
    words = qemu.command(EMULATED_GUEST, IMAGE, Machine(2, 3072), shares, Path("/c"))

    assert "local,id=suite,path=/a,,b,security_model=none,multidevs=remap,readonly=on" in words
    assert "local,id=out,path=/o,security_model=none,multidevs=remap" in words
    assert "file=/d,,1,format=raw,if=none,id=disk,readonly=on" in words
    assert "-no-reboot" in words
    assert "panic=-1" in words[words.index("-append") + 1]
    assert "arm64.nosve" in words[words.index("-append") + 1]
    assert words[words.index("-accel") + 1] == "tcg"
    assert [share.mount_options for share in shares] == ["cache=loose,ro", "cache=none,rw"]


def test_command_with_sve_leaves_it_on() -> None:
    words = qemu.command(EMULATED_GUEST, IMAGE, Machine(2, 3072, sve=True), [], Path("/c"))
    assert words[words.index("-append") + 1] == "console=ttyAMA0 quiet panic=-1"


def test_command_with_kvm_takes_the_hosts_processor() -> None:
    native = Emulator(ARM, Path("/bin/qemu"), "7.2.22", "")
    words = qemu.command(native, IMAGE, Machine(1, 2048), [], Path("/c"))

    assert words[words.index("-accel") + 1] == "kvm"
    assert words[words.index("-cpu") + 1] == "host"
    assert native.name == "QEMU 7.2.22, KVM"


def test_check_request_without_cores_is_rejected() -> None:
    with pytest.raises(UsageError, match="--cores 0 runs nothing"):
        check_request(MachineRequest(cores=0))
    assert machine_of(MachineRequest(cores=3)).cores == 3


def test_estimate_of_emulated_machine_gives_reason_and_duration() -> None:
    text = estimate(EMULATED_GUEST, Machine(1, 3072), 100, 1)

    assert "arm64 is emulated, because this machine is x64" in text
    assert "100 cells take about" in text
    minutes = int(text.split("about ")[1].split()[0])
    assert minutes > int(
        estimate(EMULATED_GUEST, Machine(1, 3072), 10, 1).split("about ")[1].split()[0]
    )
