"""Writes the release notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import build
from gobun.release import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.build import ManifestEntry
    from gobun.release.layout import ReleaseFile


def render(version: str, entries: Sequence[ManifestEntry], packages: Sequence[ReleaseFile]) -> str:
    """Return the notes of a release, in Markdown."""
    rows = [f"| `{entry.file}` | {entry.size:,} | `{entry.sha256}` |" for entry in entries]
    rows += [f"| `{each.name}` | {each.size:,} | `{each.sha256}` |" for each in packages]
    return "\n".join(
        [
            f"# go-warmup {version}",
            "",
            f"Made with Go {entries[0].go} and Zig {entries[0].zig}.",
            "",
            "| file | bytes | SHA-256 |",
            "| --- | ---: | --- |",
            *rows,
            "",
            "- `go-guard` is the signal guard as a shared library, `libgo-guard` as a static one."
            " The npm package `go-warmup` has the first inside, for Linux.",
            "- `go-warmup-<platform>` as npm packages are published as `@go-warmup/<platform>`.",
            f"- `{build.SUMS['linux']}` and `{build.SUMS['darwin']}` have the sums of libraries"
            " and headers, for `sha256sum -c`.",
            f"- `{layout.SBOM}` is the bill of materials (CycloneDX 1.6).",
            f"- `{layout.PROVENANCE}` says what the release was made from and by (in-toto, SLSA"
            " v1). It is not signed.",
            "- `invoke verify-release` in a checkout of its commit checks all of it, and makes it"
            " again bit by bit.",
            "",
            "The libraries for macOS were checked without being run there.",
            "",
        ]
    )
