"""Analyses results: claims, bisection over releases, and merged files."""

from gobun.analysis.bisect_cells import BisectRequest, bisect_releases
from gobun.analysis.claims import read_claims
from gobun.analysis.claims_render import claims_markdown, print_claims
from gobun.analysis.claims_verdict import library_sizes, read_facts, verdicts, write_facts
from gobun.analysis.merge import merge, merge_into
from gobun.analysis.platforms import platform_path, split_platforms

__all__ = [
    "BisectRequest",
    "bisect_releases",
    "claims_markdown",
    "library_sizes",
    "merge",
    "merge_into",
    "platform_path",
    "print_claims",
    "read_claims",
    "read_facts",
    "split_platforms",
    "verdicts",
    "write_facts",
]
