"""Analyses results: claims, bisection over releases, and merged shards."""

from gobun.analysis.bisect_cells import BisectRequest, bisect_releases
from gobun.analysis.claims import read_claims
from gobun.analysis.claims_render import claims_markdown, print_claims
from gobun.analysis.claims_verdict import library_sizes, read_facts, verdicts, write_facts
from gobun.analysis.merge import merge, merge_into

__all__ = [
    "BisectRequest",
    "bisect_releases",
    "claims_markdown",
    "library_sizes",
    "merge",
    "merge_into",
    "print_claims",
    "read_claims",
    "read_facts",
    "verdicts",
    "write_facts",
]
