"""Bun from source: a checkout, the series of patches on it, and the binary that is built of it."""

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
    "Change",
    "Patch",
    "Series",
    "Without",
    "lines",
    "read_series",
    "series_named",
]
