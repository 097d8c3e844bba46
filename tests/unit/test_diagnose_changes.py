"""The comparison of signal handlers ends, whatever the runtime does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import pytest

from gobun.diagnose import signal_changes
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.build import Fixture
    from gobun.runtimes import Runtime


class Endless:
    """A runtime that never loads anything."""

    def settings(self, _module: object) -> dict[str, str]:
        return {}

    def command(self, _script: Path, _argument: str) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(600)"]


def test_signal_changes_endless_load_is_stopped(tmp_path: Path) -> None:
    runtime, module = cast("Runtime", Endless()), cast("Fixture", None)
    with pytest.raises(PrerequisiteError, match="printed 'nothing' instead of 'ready'"):
        signal_changes(runtime, module, tmp_path / "inspector", limit_s=0.2)
