"""Runs single cells without the harness, and returns their reports and their ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import msgspec

from gobun import build, paths
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.runtimes import Runtime

LIMIT_S = 60
_MARK = "@gobun "


class CellReport(msgspec.Struct, frozen=True):
    """The events of a cell without heartbeats, and the end of its process."""

    events: tuple[dict[str, str], ...]
    code: int
    output: str

    @property
    def outcome(self) -> str:
        """``pass``, or the reason for a failure, on one line."""
        for event in self.events:
            if event["at"] in {"skip", "hang", "fail"}:
                return f"{event['at']}: {event['why'].splitlines()[0]}"
        if self.code == 0 and self.events and self.events[-1]["at"] == "done":
            return "pass"
        return f"exit code {self.code} after {self.events[-1:]}: {self.output[-500:]}"


def run_stress(
    runtime: Runtime, stress: str, folder: Path, *, load: str = "napi-sync", **more: str | float
) -> CellReport:
    """Run a stress on the module without Go. ``more`` replaces parts of the cell."""
    control = build.build_fixture(build.CONTROL, host_target())
    cell = {
        "load": load,
        "stress": stress,
        "probe": str(control.library),
        **runtime.settings(control),
        **more,
    }
    completed = subprocess.run(
        runtime.command(paths.SCENARIOS / "cell.cjs", json.dumps(cell)),
        cwd=folder,
        env={
            "BUN_ENABLE_CRASH_REPORTING": "0",
            "DENO_NO_UPDATE_CHECK": "1",
            "HOME": str(folder),
            "NO_COLOR": "1",
            "PATH": os.defpath,
            "TMPDIR": str(folder),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    lines = completed.stdout.splitlines()
    events = [json.loads(line[len(_MARK) :]) for line in lines if line.startswith(_MARK)]
    selected = tuple(event for event in events if event["at"] not in {"beat", "turns", "ends"})
    return CellReport(selected, completed.returncode, completed.stderr)


def stresses() -> tuple[str, ...]:
    """Return every stress but the soaks."""
    text = (paths.SCENARIOS / "default.toml").read_text()
    names = re.findall(r"^\[stress\.(\S+)\]", text, re.MULTILINE)
    return tuple(name for name in names if name not in {"long", "soak"})
