"""Bun from source: a checkout, the series of patches on it, and the binary that is built of it."""

from gobun.bun_source.applying import Applied, apply_series, identity_of, tree_identity
from gobun.bun_source.checkout import Checkout, Fetched, fetch_checkout, open_checkout
from gobun.bun_source.commits import (
    Release,
    commit_of_release,
    learn,
    read_commits,
    shown_revision,
)
from gobun.bun_source.exporting import Export, export_series, new_patch
from gobun.bun_source.linting import Known, lint_series
from gobun.bun_source.origin import UPSTREAM, Origin, parse_origin
from gobun.bun_source.rebasing import Rebased, Step, rebase, write_rebased
from gobun.bun_source.series import (
    Change,
    Patch,
    Series,
    Without,
    lines,
    read_series,
    series_named,
)

__all__ = [
    "UPSTREAM",
    "Applied",
    "Change",
    "Checkout",
    "Export",
    "Fetched",
    "Known",
    "Origin",
    "Patch",
    "Rebased",
    "Release",
    "Series",
    "Step",
    "Without",
    "apply_series",
    "commit_of_release",
    "export_series",
    "fetch_checkout",
    "identity_of",
    "learn",
    "lines",
    "lint_series",
    "new_patch",
    "open_checkout",
    "parse_origin",
    "read_commits",
    "read_series",
    "rebase",
    "series_named",
    "shown_revision",
    "tree_identity",
    "write_rebased",
]
