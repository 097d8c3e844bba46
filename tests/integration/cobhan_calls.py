"""Calls libasherah's functions with Cobhan buffers of every shape: cobhan_calls.py LIBRARY FOLDER.

It is a separate program, because a Go runtime stays in its process. It prints one JSON object with
the name and the result of each check. It skips checks for which the published library lacks a
function or ends the process.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
import tempfile
import threading
from pathlib import Path

HEADER = 8
BYTE_BEHIND = 0x5A
CONFIG = {"ServiceName": "s", "ProductID": "p", "Metastore": "memory", "KMS": "static"}
library = ctypes.CDLL(sys.argv[1])
FOLDER = Path(sys.argv[2])
IS_OUR_LIBRARY = hasattr(library, "LastReason")
call_results: dict[str, object] = {}
kept_buffers: list[Buffer] = []  # A pointer does not keep its buffer.


class Buffer:
    """A buffer ``offset`` bytes after an aligned address, with more bytes after it."""

    def __init__(self, content: bytes | int, *, offset: int = 0, length: int | None = None) -> None:
        size = content if isinstance(content, int) else len(content)
        self.memory = ctypes.create_string_buffer(offset + HEADER + size + 16)
        ctypes.memset(self.memory, BYTE_BEHIND, len(self.memory))
        self.offset, self.size = offset, size
        said_length = size if length is None else length
        head = struct.pack("<iI", said_length, 0xDEADBEEF)
        ctypes.memmove(self.address, head, HEADER)
        if isinstance(content, bytes):
            ctypes.memmove(self.address + HEADER, content, size)
        kept_buffers.append(self)

    @property
    def address(self) -> int:
        return ctypes.addressof(self.memory) + self.offset

    @property
    def pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.address)

    @property
    def length(self) -> int:
        return int(struct.unpack("<i", ctypes.string_at(self.address, 4))[0])

    @property
    def content(self) -> bytes:
        return ctypes.string_at(self.address + HEADER, abs(self.length))

    @property
    def is_intact(self) -> bool:
        """Whether the reserved half of the header and the bytes after the buffer are unchanged."""
        reserved = ctypes.string_at(self.address + 4, 4) == struct.pack("<I", 0xDEADBEEF)
        behind = ctypes.string_at(self.address + HEADER + self.size, 16)
        return reserved and behind == bytes([BYTE_BEHIND]) * 16


def setup(config: object = CONFIG, **settings: int) -> int:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return int(library.SetupJson(Buffer(text, **settings).pointer))


def reason() -> str:
    if not IS_OUR_LIBRARY:
        return ""
    room = ctypes.create_string_buffer(1024)
    length = library.LastReason(room, len(room))
    return room.raw[:length].decode()


def encrypt(partition: Buffer, data: Buffer, output: Buffer) -> int:
    return int(library.EncryptToJson(partition.pointer, data.pointer, output.pointer))


def decrypt(partition: Buffer, record: Buffer, output: Buffer) -> int:
    return int(library.DecryptFromJson(partition.pointer, record.pointer, output.pointer))


def record_of(data: bytes, partition: bytes = b"p") -> bytes:
    output = Buffer(2 * len(data) + 10_000)
    assert encrypt(Buffer(partition), Buffer(data), output) == 0, reason()
    return output.content


def before_setup() -> None:
    output = Buffer(100)
    call_results["encrypt before setup"] = encrypt(Buffer(b"p"), Buffer(b"d"), output)
    call_results["its reason"] = reason()
    if IS_OUR_LIBRARY:
        library.Shutdown()
    call_results["no configuration"] = library.SetupJson(None)
    call_results["an empty configuration"] = setup(b"")
    call_results["half a configuration"] = setup(b'{"ServiceName":')
    call_results["a length that ends within"] = setup(length=20)
    if IS_OUR_LIBRARY:
        call_results["a bad configuration"] = setup({"KMS": "static"})
        call_results["set up then"] = library.IsSetUp()


def null_pointers() -> None:
    good = Buffer(b"p").pointer
    room = Buffer(1000).pointer
    number = ctypes.byref(ctypes.c_int64())
    calls = [library.EncryptToJson(*at) for at in [(None, good, room), (good, None, room)]]
    calls += [library.EncryptToJson(good, good, None), library.SetEnv(None)]
    calls += [library.DecryptFromJson(None, Buffer(record_of(b"d")).pointer, room)]
    calls += [library.DecryptFromJson(good, None, room)]
    key = Buffer(100).pointer
    calls += [library.Encrypt(good, good, room, key, None, Buffer(100).pointer, number)]
    call_results["null pointers"] = calls


def rooms() -> None:
    record = record_of(b"twelve bytes")
    exact, short, none = Buffer(12), Buffer(11), Buffer(0)
    results = [decrypt(Buffer(b"p"), Buffer(record), each) for each in (exact, short, none)]
    call_results["room that is exact, one short, none"] = results
    call_results["what came"] = exact.content.decode()
    call_results["lengths after"] = [exact.length, short.length, none.length]
    call_results["nothing else is written"] = [exact.is_intact, short.is_intact, none.is_intact]
    if IS_OUR_LIBRARY:
        call_results["room below zero"] = decrypt(
            Buffer(b"p"), Buffer(record), Buffer(12, length=-12)
        )
        call_results["its reason, too"] = reason()


def shapes() -> None:
    results = []
    for offset in range(8):
        data = bytes(range(offset, 200))
        output, back = Buffer(1000, offset=offset), Buffer(300, offset=7 - offset)
        codes = [encrypt(Buffer(b"p", offset=offset), Buffer(data, offset=offset), output)]
        codes += [decrypt(Buffer(b"p"), Buffer(output.content, offset=offset), back)]
        results.append(
            codes == [0, 0] and back.content == data and output.is_intact and back.is_intact
        )
    call_results["misaligned by 0 to 7"] = results
    call_results["empty data"] = decrypt(Buffer(b"p"), Buffer(record_of(b"")), Buffer(0))
    large = bytes(32 << 20)
    output = Buffer(len(large))
    call_results["32 MB"] = [decrypt(Buffer(b"p"), Buffer(record_of(large)), output), output.length]
    call_results["a partition that is no UTF-8"] = encrypt(
        Buffer(b"\xff"), Buffer(b"d"), Buffer(500)
    )
    call_results["an empty partition"] = encrypt(Buffer(b""), Buffer(b"d"), Buffer(500))
    call_results["that reason"] = reason()


def estimates() -> None:
    sizes = []
    for partition in (b"p", b"\x01" * 500, b"<&>" * 100, "\u2028".encode() * 100, b'"\\' * 99):
        for size in (0, 1, 2, 3, 1000):
            estimate = library.EstimateBuffer(size, len(partition)) - HEADER
            sizes.append(estimate >= len(record_of(bytes(size), partition)))
    call_results["estimates are enough"] = sorted(set(sizes))
    largest = 2**31 - 1
    call_results["estimates beyond an int32"] = [
        library.EstimateBuffer(largest, 1),
        library.EstimateBuffer(1, largest),
        library.EstimateBuffer(-1, 1),
        library.EstimateBuffer(1, -1),
    ]


def temporary_files() -> None:
    record = record_of(b"what a file holds")
    path = FOLDER / "record"
    path.write_bytes(record)
    name = str(path).encode()
    named = Buffer(name, length=-len(name))
    output = Buffer(100)
    call_results["a file, not allowed"] = decrypt(Buffer(b"p"), named, output)
    if not IS_OUR_LIBRARY:
        return
    library.AllowTempFileBuffers(1)
    call_results["a file"] = [decrypt(Buffer(b"p"), named, output), output.content.decode()]
    call_results["a file that is not there"] = decrypt(
        Buffer(b"p"), Buffer(b"/no", length=-3), output
    )
    call_results["a name beyond all"] = [
        decrypt(Buffer(b"p"), Buffer(name, length=length), output) for length in (-(2**31), -4097)
    ]
    large = Buffer(record_of(bytes(5000)))
    written, short = Buffer(200), Buffer(3)
    call_results["a result in a file"] = decrypt(Buffer(b"p"), large, written)
    file = Path(written.content.decode())
    call_results["its length is below zero"] = written.length < 0
    call_results["the file"] = [
        file.parent == Path(tempfile.gettempdir()),
        file.read_bytes() == bytes(5000),
    ]
    file.unlink()
    call_results["no room for a name"] = [decrypt(Buffer(b"p"), large, short), short.length]
    call_results["files left"] = [each.name for each in file.parent.glob("cobhan-*")]
    library.AllowTempFileBuffers(0)


def parts() -> None:
    data, key, parent = Buffer(500), Buffer(500), Buffer(500)
    created, parent_created = ctypes.c_int64(), ctypes.c_int64()
    code = library.Encrypt(
        Buffer(b"p").pointer,
        Buffer(b"in parts").pointer,
        data.pointer,
        key.pointer,
        ctypes.byref(created),
        parent.pointer,
        ctypes.byref(parent_created),
    )
    output = Buffer(100)
    back = library.Decrypt(
        Buffer(b"p").pointer,
        data.pointer,
        key.pointer,
        created,
        parent.pointer,
        parent_created,
        output.pointer,
    )
    call_results["parts"] = [code, back, output.content.decode(), parent.content.decode()]


def shutdown_meanwhile() -> None:
    codes: set[int] = set()

    def calls() -> None:
        for _ in range(300):
            codes.add(encrypt(Buffer(b"p"), Buffer(b"d"), Buffer(500)))

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        library.Shutdown()
        setup()
    library.Shutdown()
    for thread in threads:
        thread.join()
    call_results["results while it is shut down and set up"] = sorted(codes - {0, -100})


library.Decrypt.argtypes = [ctypes.c_void_p] * 3 + [
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_void_p,
]
library.Shutdown.restype = None
before_setup()
call_results["setup"] = [setup(), setup()]
null_pointers()
rooms()
shapes()
estimates()
temporary_files()
parts()
if IS_OUR_LIBRARY:
    shutdown_meanwhile()
call_results["the environment"] = [
    library.SetEnv(Buffer(text).pointer) for text in (b'{"A":"b"}', b'{"A":1}', b"[]", b'{"":"x"}')
]
print(json.dumps(call_results))
