"""Bun from source: a checkout, the series of patches on it, and the binary that is built of it."""

from gobun.bun_source.applying import Applied, apply_series, identity_of, tree_identity
from gobun.bun_source.building import Built, build, build_words
from gobun.bun_source.checkout import Checkout
from gobun.bun_source.commits import (
    Release,
    commit_of_release,
    learn,
    read_commits,
    shown_revision,
)
from gobun.bun_source.exporting import Export, export_series, new_patch
from gobun.bun_source.git import check_version as check_git
from gobun.bun_source.layout import Layout, read_layout
from gobun.bun_source.linting import Known, lint_series
from gobun.bun_source.opening import Fetched, fetch_checkout, open_checkout
from gobun.bun_source.origin import UPSTREAM, Origin, parse_origin
from gobun.bun_source.preflight import Offline, Row, examine, jobs_by_memory, memory_gib
from gobun.bun_source.preflight import check as check_preflight
from gobun.bun_source.preflight import render as render_preflight
from gobun.bun_source.rebasing import Rebased, Step, rebase, write_rebased
from gobun.bun_source.series import (
    Change,
    Constant,
    Patch,
    Series,
    Without,
    lines,
    read_series,
    series_named,
)
from gobun.bun_source.submodules import Filled, Sources, missing_submodules, parse_sources

__all__ = [
    "UPSTREAM",
    "Applied",
    "Built",
    "Change",
    "Checkout",
    "Constant",
    "Export",
    "Fetched",
    "Filled",
    "Known",
    "Layout",
    "Offline",
    "Origin",
    "Patch",
    "Rebased",
    "Release",
    "Row",
    "Series",
    "Sources",
    "Step",
    "Without",
    "apply_series",
    "build",
    "build_words",
    "check_git",
    "check_preflight",
    "commit_of_release",
    "examine",
    "export_series",
    "fetch_checkout",
    "identity_of",
    "jobs_by_memory",
    "learn",
    "lines",
    "lint_series",
    "memory_gib",
    "missing_submodules",
    "new_patch",
    "open_checkout",
    "parse_origin",
    "parse_sources",
    "read_commits",
    "read_layout",
    "read_series",
    "rebase",
    "render_preflight",
    "series_named",
    "shown_revision",
    "tree_identity",
    "write_rebased",
]
