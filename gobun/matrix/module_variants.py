"""The forms of a module that some treatments load in its place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from gobun import build, embed, files
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from gobun.build import Fixture
    from gobun.targets import Target

BUILT_IN, EMBEDDED, UNCONVERTED = "built-in", "embedded", "unconverted"
"""The forms of a module that a treatment can name as its ``variant``."""


def module_variants(
    modules: Mapping[str, Fixture], treatments: Iterable[str], target: Target
) -> dict[tuple[str, str], Fixture]:
    """Return the forms of ``modules`` that the treatments load instead, by variant and name.

    A module of the suite that is compiled here has a ``built-in`` form, and for musl an
    ``unconverted`` one. A custom addon has a ``built-in`` form if its file already contains the
    guard. Modules for musl have no ``embedded`` form. ``asherah-rust`` has no other form, and no
    module has one outside Linux.

    Raises:
        PrerequisiteError: a tool is missing, or the disk refuses a write.
        BuildError: a build failed.
        FetchError: a package could not be fetched.
        UsageError: the guard cannot be embedded into a module.
    """
    linux = target.os == "linux"
    variant_names = {TREATMENTS[name].variant for name in treatments} if linux else set()
    variants: dict[tuple[str, str], Fixture] = {}
    for name, module in modules.items():
        if name == build.RUST:
            continue
        compiled = name in build.FIXTURES and module.published is None
        if (
            BUILT_IN in variant_names
            and name not in build.FIXTURES
            and embed.has_guard(module.addon)
        ):
            variants[BUILT_IN, name] = module
        if BUILT_IN in variant_names and compiled:
            variants[BUILT_IN, name] = build.build_fixture(name, target, guarded=True)
        if UNCONVERTED in variant_names and compiled and target.libc == "musl":
            variants[UNCONVERTED, name] = build.build_fixture(name, target, converted=False)
        if EMBEDDED in variant_names and target.libc != "musl":
            variants[EMBEDDED, name] = _embed_guard(module, target)
    return variants


def _embed_guard(module: Fixture, target: Target) -> Fixture:
    # If both files only load a published library, that library is the one with Go in it.
    sources = [module.library, module.addon]
    libraries = [*dict.fromkeys(sources), *([module.published] if module.published else [])]
    recipe = build.recipe(
        f"{module.name}-embedded-{target.name}",
        sources=build.EMBEDDED_SOURCES,
        settings=[files.sha256_of(path) for path in libraries],
    )

    def make_folder(folder: Path) -> None:
        for path in libraries:
            if module.published in {None, path}:
                embed.embed_guard(path, folder / path.name)
            else:
                shutil.copy(path, folder)

    folder = build.built(recipe, make_folder)
    return msgspec.structs.replace(
        module,
        library=folder / module.library.name,
        addon=folder / module.addon.name,
        published=folder / module.published.name if module.published else None,
    )
