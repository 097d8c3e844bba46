"""The task that checks a patched Bun without building it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import bun_check, bun_source
from gobun.commands.cli import command, select_patches
from gobun.console import print_result
from gobun.errors import BuildError, UsageError

if TYPE_CHECKING:
    from invoke.context import Context


@command
def check_bun(
    _: Context,
    series: str,
    only: str = "",
    except_: str = "",
    quick: bool = False,
    object: bool = False,
    unpatched: bool = False,
) -> None:
    """Check a patched tree of Bun without building all of it.

    --quick reads files only; --object also compiles all Zig code and checks the machine code.
    With --unpatched the release itself is checked.
    """
    if quick and object:
        raise UsageError(
            "--quick reads files only, and --object compiles them: give one of them",
            hint="leave one of the two out",
        )
    if quick and unpatched:
        raise UsageError(
            "--quick reads only files of patches, and --unpatched has no patches: give one",
            hint="leave one of the two out",
        )
    depth: bun_check.Depth = "files" if quick else "object" if object else "semantics"
    patch_series, chosen_patches = select_patches(series, only, except_)
    with bun_source.open_checkout(patch_series.version) as checkout:
        report = bun_check.check_series(
            checkout, patch_series, chosen_patches, depth=depth, unpatched=unpatched
        )
    print_result(bun_check.render(report))
    if report.failures:
        raise SystemExit(BuildError.exit_code)
