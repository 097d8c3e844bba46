"""Tasks that make what is given away, and check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gobun import build, release
from gobun.commands.words import command
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from invoke.context import Context


@command
def pack_loader(_: Context, version: str, out: str = "dist") -> None:
    """Pack the npm package go-warmup with its libraries: --version X --out DIR."""
    named = release.check_version(version)
    print(release.pack_loader(named, build.build_warmup(list(TARGETS.values())), Path(out)))
