"""The npm package of the loader: its scripts, the libraries, and what they have to be."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from gobun import build, files, paths, toolchain
from gobun.errors import BuildError
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PACKAGE = "go-warmup"
_NPM_TIMEOUT_S = 120.0
# Nothing of npm's is asked for, so nothing of a registry's or a person's settings takes part.
_ALONE = {"npm_config_offline": "true", "npm_config_update_notifier": "false"}


def tarball_name(version: str) -> str:
    """Return the file name that npm gives to a packed release."""
    return f"{_PACKAGE}-{version}.tgz"


def pack_loader(version: str, libraries: Sequence[build.BuiltLibrary], out: Path) -> Path:
    """Pack the loader with ``libraries`` into ``out``, and return the tarball.

    Equal sources give equal bytes: npm writes neither times nor owners.

    Raises:
        PrerequisiteError: Node is missing, or ``out`` cannot be written.
        BuildError: npm could not pack it.
    """
    packed = out / tarball_name(version)
    with files.temporary_sibling(packed) as staged:
        package = staged / "package"
        _fill(package, version, libraries)
        done = run_tool(
            [*toolchain.npm_command(), "pack", "--ignore-scripts", "--pack-destination", staged],
            cwd=package,
            env=_ALONE,
            timeout_s=_NPM_TIMEOUT_S,
        )
        made = staged / packed.name
        if done.code != 0 or not made.is_file():
            raise BuildError(f"npm could not pack {_PACKAGE} {version}:\n{done.tail}")
        files.copy_whole(made, packed)
    return packed


def _fill(package: Path, version: str, libraries: Sequence[build.BuiltLibrary]) -> None:
    with files.disk_errors(package):
        shutil.copytree(paths.LOADER_SOURCES, package, copy_function=shutil.copyfile)
        shutil.copyfile(paths.ROOT / "LICENSE", package / "LICENSE")
        # As text, so that the file stays as a person has written it.
        about = package / "package.json"
        about.write_text(about.read_text().replace('"0.0.0"', f'"{version}"', 1))
        (package / "lib").mkdir()
        for each in libraries:
            shutil.copyfile(each.library, package / "lib" / each.library.name)
        sums = {each.library.name: files.sha256_of(each.library) for each in libraries}
        (package / "sums.json").write_bytes(files.readable_json(dict(sorted(sums.items()))))
