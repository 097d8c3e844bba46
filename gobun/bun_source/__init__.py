"""Builds Bun from source: manages checkouts, applies patch series, and drives upstream's build."""

from gobun.bun_source.apply import PatchedTree, apply_series, identity_of, tree_identity
from gobun.bun_source.build_programs import BuildPrerequisite
from gobun.bun_source.build_stages import BuildOptions, BuildPlan, Stage, plan_build
from gobun.bun_source.checkout import Checkout
from gobun.bun_source.checkouts import Fetched, fetch_checkout, open_checkout
from gobun.bun_source.commits import (
    BunCommit,
    commit_of_release,
    read_commits,
    record_new_commits,
    shown_revision,
)
from gobun.bun_source.export import Export, export_series, new_patch
from gobun.bun_source.git import check_version as check_git
from gobun.bun_source.layout import BuildLayout, read_layout
from gobun.bun_source.origin import UPSTREAM, Origin, parse_origin
from gobun.bun_source.preflight import (
    OfflineSources,
    examine,
    is_missing_any,
    jobs_by_memory,
    memory_gib,
)
from gobun.bun_source.preflight import check as check_preflight
from gobun.bun_source.preflight import render as render_preflight
from gobun.bun_source.series import (
    Change,
    Constant,
    LeftOutChange,
    Patch,
    Series,
    lines,
    read_series,
    series_named,
)
from gobun.bun_source.series_lint import KnownNames, lint_series
from gobun.bun_source.series_rebase import Rebased, RebaseStep, rebase, write_rebased
from gobun.bun_source.submodules import (
    FilledSubmodule,
    Sources,
    missing_submodules,
    parse_sources,
    submodule_folders,
)
from gobun.bun_source.upstream_build import BuiltBun, build

__all__ = [
    "UPSTREAM",
    "BuildLayout",
    "BuildOptions",
    "BuildPlan",
    "BuildPrerequisite",
    "BuiltBun",
    "BunCommit",
    "Change",
    "Checkout",
    "Constant",
    "Export",
    "Fetched",
    "FilledSubmodule",
    "KnownNames",
    "LeftOutChange",
    "OfflineSources",
    "Origin",
    "Patch",
    "PatchedTree",
    "RebaseStep",
    "Rebased",
    "Series",
    "Sources",
    "Stage",
    "apply_series",
    "build",
    "check_git",
    "check_preflight",
    "commit_of_release",
    "examine",
    "export_series",
    "fetch_checkout",
    "identity_of",
    "is_missing_any",
    "jobs_by_memory",
    "lines",
    "lint_series",
    "memory_gib",
    "missing_submodules",
    "new_patch",
    "open_checkout",
    "parse_origin",
    "parse_sources",
    "plan_build",
    "read_commits",
    "read_layout",
    "read_series",
    "rebase",
    "record_new_commits",
    "render_preflight",
    "series_named",
    "shown_revision",
    "submodule_folders",
    "tree_identity",
    "write_rebased",
]
