"""Several threads decode the same new types at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gobun import paths

# Each round has new types, as at the start of a process. A failing round ends the process with a
# segmentation fault.
CODE = """
import sys, threading, types
import msgspec
from gobun.decoding import decoder_of

sys.setswitchinterval(1e-6)
SOURCE = '''
from __future__ import annotations
import msgspec
class Inner(msgspec.Struct):
    numbers: list[int] = []
    names: dict[str, str] = {}
class Outer(msgspec.Struct):
    one: Inner | None = None
    many: dict[str, Inner] = {}
'''
for number in range(300):
    module = types.ModuleType(f"types{number}")
    sys.modules[module.__name__] = module
    exec(compile(SOURCE, module.__name__, "exec"), module.__dict__)
    start = threading.Barrier(4)
    def decode():
        start.wait()
        USE
    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print("ended")
"""
DATA = '{"one": {"numbers": [1]}, "many": {"x": {}}}'


@pytest.mark.parametrize(
    "use",
    [
        f"assert decoder_of(module.Outer).decode({DATA!r}).one.numbers == [1]",
        "decoder_of(module.Outer); msgspec.convert({'many': {'x': {}}}, module.Outer)",
    ],
    ids=["decodes", "converts"],
)
def test_decoder_of_new_type_serves_threads_at_once(use: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", CODE.replace("USE", use)],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.returncode, completed.stdout) == (0, "ended\n"), completed.stderr
