"""Measures the costs of a conversion for musl: a call of Go, and the conversion itself.

    .venv/bin/nox -s shell -- benchmark musl

A converted library loads only in musl, and an unconverted one only in glibc. So the same library is
called on both, by Bun and by a C program. A third form shows the cost of the thunks. It has the
startup code of a conversion, and loads its TLS word as Go's compiler wrote it. musl loads that form
only through ``LD_PRELOAD``. The processes alternate, and each number is the best of many blocks.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build, runtimes, sysroot
from gobun.build import compile as compiling
from gobun.build.musl import native_code
from gobun.elf import Image
from gobun.elf.image import RELA
from gobun.elf.tls import initial_exec_words, sites_of
from gobun.musl import convert
from gobun.musl.startup import MARK
from gobun.paths import ROOT
from gobun.targets import for_libc, host_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = "1.4.5"
ROUNDS = 5
_CALLS = """
const { dlopen } = require("bun:ffi");
const call = dlopen(process.argv[2], { Run: { args: [], returns: "i32" } }).symbols.Run;
let best = Infinity;
for (let block = 0; block < 40; block++) {
  const started = Bun.nanoseconds();
  for (let i = 0; i < 20000; i++) call();
  best = Math.min(best, (Bun.nanoseconds() - started) / 20000);
}
console.log(JSON.stringify(best));
process.exit(0);
"""
_CONVERT = """
import resource, sys, time
from pathlib import Path
from gobun.build.musl import native_code
from gobun.musl import convert
path = Path(sys.argv[1])
data, code = path.read_bytes(), native_code(sys.argv[2])
started = time.process_time()
convert(path, data, lambda _: code)
used = time.process_time() - started
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"converting {len(data) / 1e6:.1f} MB: {used:.2f} s of CPU, {most:.0f} MB at most")
"""


_TABLE = struct.Struct("<qqQqQ")
_ENCODED_ONE = struct.pack("<Q", 1)


def main() -> None:
    """Measure, and print a line for each caller and one for the conversion."""
    host = host_target()
    musl_target = for_libc(host, "musl")
    plain = build.build_fixture("simple", host).library
    with tempfile.TemporaryDirectory(prefix="gobun-benchmark-") as name:
        folder = Path(name)
        script = folder / "calls.cjs"
        script.write_text(_CALLS)
        conversion = convert(plain, plain.read_bytes(), native_code)
        converted, bare = folder / "converted.so", folder / "bare.so"
        converted.write_bytes(conversion.data)
        bare.write_bytes(without_thunks(plain, conversion.data, native_code(host.arch).startup))
        buns = [
            runtimes.provide_runtimes("bun", [VERSION], libc_target)[0].program
            for libc_target in (host, musl_target)
        ]
        by_bun = {
            "glibc": [buns[0], script, plain],
            "musl, converted": [buns[1], script, converted],
        }
        time_commands(f"FFI in Bun {VERSION}", by_bun)
        callers = [folder / "calls-glibc", folder / "calls-musl"]
        for target, caller in zip((host, musl_target), callers, strict=True):
            source = ROOT / "benchmarks" / "musl_calls.c"
            compiling.freestanding(source, target.zig_triple, ["-O2", "-g0", "-dynamic"], caller)
        musl = sysroot.sysroot_for(musl_target.name).program(callers[1])
        by_program: dict[str, list[Path | str]] = {
            "glibc": [callers[0], plain],
            "musl, converted": [musl, converted],
            "musl, without thunks": ["env", f"LD_PRELOAD={bare}", musl],
        }
        time_commands("a C program", by_program)
    addon = build.build_fixture(build.ASHERAH, host).addon
    subprocess.run([sys.executable, "-c", _CONVERT, addon, host.arch], check=True)


def without_thunks(path: Path, converted: bytes, startup: bytes) -> bytes:
    """Return a converted library with the original loads of its TLS word."""
    before, after = Image(path, path.read_bytes()), Image(path, converted)
    words = initial_exec_words(before)
    data = bytearray(converted)
    changed = [(each.address, each.size) for each in sites_of(before, words)]
    for address, size in [*changed, *((word.entry, RELA.size) for word in words)]:
        at = before.offset_of(address, size)
        data[at : at + size] = before.data[at : at + size]
    # The startup code expects the library's module number in the TLS word, which contains an offset
    # here. So point it to a word that contains 1, the module number of the program. The first
    # thread-local variable of the program is zero, as the startup code requires.
    table = converted.index(MARK + startup) + len(MARK) + len(startup)
    first, others, count, _, _ = _TABLE.unpack_from(data, table)
    word = next(
        each.address
        + converted.index(_ENCODED_ONE, each.offset, each.offset + each.file_size)
        - each.offset
        for each in after.loads
        if _ENCODED_ONE in converted[each.offset : each.offset + each.file_size]
    )
    [segments] = (
        each for each in after.loads if each.offset <= table < each.offset + each.file_size
    )
    distance = word - (table - segments.offset + segments.address)
    _TABLE.pack_into(data, table, first, others, count, distance, 0)
    return bytes(data)


def time_commands(caller: str, commands: Mapping[str, Sequence[Path | str]]) -> None:
    """Run the commands in turn, and print the best time of each and its ratio to the first."""
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(ROUNDS):
        for name, command in commands.items():
            completed = subprocess.run(command, check=True, capture_output=True)
            best[name] = min(best[name], msgspec.json.decode(completed.stdout, type=float))
    first = next(iter(best.values()))
    listed = [f"{time:.1f} ns on {name} ({time / first:.2f})" for name, time in best.items()]
    print(f"a call of Go by {caller}: {', '.join(listed)}")


if __name__ == "__main__":
    main()
