"""Reads ``gobun.toml``: a person's own addon, and the flags of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from gobun import console
from gobun.cells import narrow_axes, read_scenario
from gobun.errors import UsageError
from gobun.runtimes import named_version
from gobun.toml_config import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_NAME = "gobun.toml"


class AddonTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The addon. Its paths are relative to the file."""

    file: str
    smoke: str
    name: str = ""


class MatrixTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The axes of its matrix. Missing keys have the values of the default matrix."""

    versions: tuple[str, ...] = ()
    treatments: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    stresses: tuple[str, ...] = ()
    jobs: Annotated[int, msgspec.Meta(ge=1)] | None = None
    limit_s: Annotated[float, msgspec.Meta(gt=0)] | None = None


class CustomAddonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file. ``read_config`` makes its paths absolute."""

    addon: AddonTable
    matrix: MatrixTable = MatrixTable()


def find_config(named: str, *, modules: Sequence[str], addon: str) -> CustomAddonConfig | None:
    """Return the file ``named``, or the ``gobun.toml`` of this folder; None if there is none.

    If the flags name ``modules`` without ``addon``, they mean the suite's modules. Then the file in
    this folder does not apply.

    Raises:
        UsageError: the file is missing or malformed. The error names the file, table and key.
    """
    path = Path(named or FILE_NAME)
    if not named and (not path.is_file() or (modules and not addon)):
        return None
    config = read_config(path)
    console.log(f"as {path} says")
    return config


def read_config(path: Path) -> CustomAddonConfig:
    """Read a file.

    Raises:
        UsageError: it is missing or malformed. The error names the file, table and key.
    """
    config = read_toml(path, CustomAddonConfig)
    scenario = read_scenario()
    for key in ("treatments", "loads", "stresses"):
        try:
            narrow_axes(scenario, **{key: getattr(config.matrix, key)})
        except UsageError as error:
            raise UsageError(f"{path}: {key} of [matrix]: {error.what}", hint=error.hint) from error
    if "" in config.matrix.versions:
        raise UsageError(
            f"{path}: versions of [matrix]: an empty version", hint="remove it from the list"
        )
    for version in config.matrix.versions:
        try:
            runtime_of(version)
        except UsageError as error:
            raise UsageError(
                f"{path}: versions of [matrix]: {error.what}", hint=error.hint
            ) from error
    folder = path.absolute().parent
    addon = msgspec.structs.replace(
        config.addon, file=str(folder / config.addon.file), smoke=str(folder / config.addon.smoke)
    )
    return msgspec.structs.replace(config, addon=addon)


def runtime_of(version: str) -> str:
    """Return the runtime of a version in a file: Bun, unless a prefix names it, as in ``node@22``.

    Raises:
        UsageError: it names an unknown runtime, or no version.
    """
    return named_version(version)[0] or "bun"
