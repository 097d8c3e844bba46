"""The analysis of objects that the real Zig compiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun import toolchain
from gobun.build.compile import zig_environment
from gobun.bun_check.object_code import CallSummary, ObjectCode
from gobun.bun_check.zig_compat import stock
from gobun.errors import BuildError
from gobun.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

TARGET = "pthread_attr_setstacksize"
SOURCE = """extern fn pthread_attr_setstacksize(attributes: *anyopaque, size: usize) c_int;
extern fn prepare(attributes: *anyopaque, size: usize) void;

const Pool = struct {
    noinline fn spawnWorker(attributes: *anyopaque, size: usize) c_int {
        prepare(attributes, 0x100000);
        return pthread_attr_setstacksize(attributes, @max(size, 16 * 1024));
    }

    noinline fn wake(attributes: *anyopaque) c_int {
        return spawnWorker(attributes, STACK) + 1;
    }
};

const Other = struct {
    noinline fn start(attributes: *anyopaque) c_int {
        return pthread_attr_setstacksize(attributes, 0x200000) + 1;
    }
};

export fn poolWake(attributes: *anyopaque) c_int {
    return Pool.wake(attributes) + Other.start(attributes);
}

export fn given(attributes: *anyopaque, size: usize) c_int {
    return pthread_attr_setstacksize(attributes, size) + 1;
}
"""
RECORD = """const Config = extern struct { name: [*:0]const u8, size: usize };
const config = Config{ .name = "a thread", .size = STACK };
extern fn spawn(config: *const Config) c_int;

export fn wake() c_int {
    return spawn(&config) + 1;
}
"""


def compile_pool(
    folder: Path, source: str, *flags: str, target: str = "x86_64-linux-gnu.2.17"
) -> Path:
    (folder / "pool.zig").write_text(source)
    object_file = folder / "pool.o"
    words: list[str | Path] = [toolchain.zig().program, "build-obj", folder / "pool.zig"]
    completed = run_tool(
        [
            *words,
            "-O",
            "ReleaseFast",
            "-target",
            target,
            "-fPIC",
            "-fno-strip",
            f"-femit-bin={object_file}",
            *flags,
        ],
        cwd=folder,
        env=zig_environment(),
        timeout_s=120,
    )
    assert completed.code == 0, completed.err
    return object_file


FOUR_MIB, EIGHT_MIB = 4 << 20, 8 << 20


@pytest.mark.parametrize("flags", [(), ("-ffunction-sections",)], ids=["one section", "sections"])
@pytest.mark.parametrize("stack", [FOUR_MIB, EIGHT_MIB])
def test_object_code_constants_in_instructions_are_found(
    tmp_path: Path, flags: tuple[str, ...], stack: int
) -> None:
    machine = ObjectCode(compile_pool(tmp_path, SOURCE.replace("STACK", str(stack)), *flags))
    reach = machine.reach(r"pool\.Pool\.wake", ".*spawn.*", TARGET, (FOUR_MIB, EIGHT_MIB))
    assert reach.calls
    assert {value for _, value in reach.constants} == {stack}


@pytest.mark.parametrize("stack", [FOUR_MIB, EIGHT_MIB])
def test_object_code_constants_in_records_are_found(tmp_path: Path, stack: int) -> None:
    machine = ObjectCode(
        compile_pool(tmp_path, RECORD.replace("STACK", str(stack)), "-fdata-sections")
    )
    reach = machine.reach("wake", "nothing", "spawn", (FOUR_MIB, EIGHT_MIB))
    assert reach.calls
    assert reach.constants == (("wake", stack),)


def test_object_code_only_requested_functions_are_followed(tmp_path: Path) -> None:
    machine = ObjectCode(
        compile_pool(tmp_path, SOURCE.replace("STACK", str(FOUR_MIB)), "-ffunction-sections")
    )
    values = (FOUR_MIB, EIGHT_MIB, 0x200000)
    assert not machine.reach(r"pool\.Pool\.wake", "nothing", TARGET, values).calls
    assert machine.reach("absent", ".*", TARGET, values) == CallSummary(calls=False, constants=())
    other = machine.reach(r"pool\.Other\.start", ".*spawn.*", TARGET, values)
    assert other == CallSummary(calls=True, constants=(("pool.Other.start", 0x200000),))
    reached = machine.reach("given", ".*", TARGET, values)
    assert reached == CallSummary(calls=True, constants=())


@pytest.mark.parametrize("target", ["aarch64-linux-gnu.2.17", "x86_64-macos.13.0"])
def test_object_code_of_other_platform_is_rejected(tmp_path: Path, target: str) -> None:
    object_file = compile_pool(tmp_path, SOURCE.replace("STACK", "1 << 20"), target=target)
    with pytest.raises(BuildError, match=r"pool\.o is not an object for Linux x64"):
        ObjectCode(object_file)


@pytest.mark.parametrize("content", [b"\x7fELF", b"words", b""])
def test_object_code_other_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.o").write_bytes(content)
    with pytest.raises(BuildError, match="is not an object"):
        ObjectCode(tmp_path / "a.o")


def test_object_code_truncated_file_is_rejected(tmp_path: Path) -> None:
    object_file = compile_pool(tmp_path, SOURCE.replace("STACK", "1 << 20"))
    whole = object_file.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 20):
        object_file.write_bytes(whole[:length])
        with pytest.raises(BuildError, match="is a truncated or damaged object"):
            ObjectCode(object_file)


def test_zig_compat_rewritten_source_compiles_with_stock_zig(tmp_path: Path) -> None:
    fork = b"""const Counter = struct {
    #count: u32 = 0,

    pub fn next(self: *Counter) u32 {
        self.#count += 1;
        return self.#count;
    }
};

pub const first = Counter{ .#count = '#' };
pub const text = @hasField(Counter, "#count");
"""
    for source, well in ((fork, False), (stock(fork), True)):
        (tmp_path / "a.zig").write_bytes(source)
        completed = run_tool(
            [toolchain.zig().program, "ast-check", tmp_path / "a.zig"], timeout_s=60
        )
        assert (completed.code == 0) is well, completed.err
    completed = run_tool(
        [toolchain.zig().program, "fmt", "--check", tmp_path / "a.zig"], timeout_s=60
    )
    assert completed.code == 0, completed.out
