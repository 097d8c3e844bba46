"""The example report of the site, rendered from recorded results.

``docs/example/results.jsonl.xz`` is a part of the run over all releases of 2026-11-21: the cells of
the default matrix, without the paths of their evidence.
"""

from __future__ import annotations

import lzma
import tempfile
from pathlib import Path

from gobun import matrix, paths, report

RECORDED_RESULTS = paths.ROOT / "docs" / "example" / "results.jsonl.xz"


def recorded_run() -> matrix.Run:
    """Return the recorded run."""
    with tempfile.TemporaryDirectory(prefix="gobun-docs-") as folder:
        unpacked = Path(folder) / "results.jsonl"
        unpacked.write_bytes(lzma.decompress(RECORDED_RESULTS.read_bytes()))
        return matrix.read_results(unpacked)


def example_report() -> str:
    """Return the report of the recorded run as one HTML page."""
    return report.render_html(recorded_run())
