"""Builds native code, once for each recipe.

The package builds the libraries that we ship, the fixtures, and the native helpers of the harness.
It also writes the files of a release.
"""

from gobun.build.alternatives import Alternatives, build_alternatives
from gobun.build.asherah_addon import build_asherah_addon, write_asherah_package
from gobun.build.build_store import builds_root, built, recipe
from gobun.build.fixtures import (
    ADDON_EXPORTS,
    ASHERAH,
    CONTROL,
    EXPORTS,
    FIXTURES,
    MODULES,
    PUBLISHED,
    RUST,
    Fixture,
    build_fixture,
    provide_module,
    published_asherah,
    rust_asherah,
)
from gobun.build.guard import (
    EMBEDDED_SOURCES,
    GUARD_NAME,
    STATIC_NAME,
    build_embeddable_guard,
    build_guard,
    build_preload,
    build_static_guard,
)
from gobun.build.guard_source import GUARD_SOURCES
from gobun.build.helpers import build_dlcall, build_inspector, build_supervise
from gobun.build.library import BuiltLibrary, file_names
from gobun.build.loader import build_loader, fill_loader
from gobun.build.musl import conversion_outputs, convert_file
from gobun.build.publish import SUMS, ManifestEntry, place, publish, sums_text
from gobun.build.vendor import vendor_guard
from gobun.build.warmup import DEFAULT_NAME, NAMES, build_warmup

__all__ = [
    "ADDON_EXPORTS",
    "ASHERAH",
    "CONTROL",
    "DEFAULT_NAME",
    "EMBEDDED_SOURCES",
    "EXPORTS",
    "FIXTURES",
    "GUARD_NAME",
    "GUARD_SOURCES",
    "MODULES",
    "NAMES",
    "PUBLISHED",
    "RUST",
    "STATIC_NAME",
    "SUMS",
    "Alternatives",
    "BuiltLibrary",
    "Fixture",
    "ManifestEntry",
    "build_alternatives",
    "build_asherah_addon",
    "build_dlcall",
    "build_embeddable_guard",
    "build_fixture",
    "build_guard",
    "build_inspector",
    "build_loader",
    "build_preload",
    "build_static_guard",
    "build_supervise",
    "build_warmup",
    "builds_root",
    "built",
    "conversion_outputs",
    "convert_file",
    "file_names",
    "fill_loader",
    "place",
    "provide_module",
    "publish",
    "published_asherah",
    "recipe",
    "rust_asherah",
    "sums_text",
    "vendor_guard",
    "write_asherah_package",
]
