"""Instruction decoders when several threads convert libraries at once."""

from __future__ import annotations

import subprocess
import sys

from gobun import paths

# A new process, because capstone is imported once.
AT_ONCE = """
import sys, threading
from gobun.elf.decoder import decoder
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
codes = {"x64": b"\\xc3", "arm64": bytes.fromhex("c0035fd6")}
found = []
def decode(arch):
    start.wait()
    found.append((decoder(arch), next(decoder(arch).disasm(codes[arch], 0)).mnemonic))
threads = [threading.Thread(target=decode, args=[arch]) for arch in ("x64", "arm64") * 4]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len({id(each) for each, _ in found}), *{mnemonic for _, mnemonic in found})
"""


def test_decoder_threads_at_once_each_get_their_own() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", AT_ONCE],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (completed.stdout.strip(), completed.stderr) == ("8 ret", "")
