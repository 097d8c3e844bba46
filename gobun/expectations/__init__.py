"""Reads the expectations of cells, compares results with them, and updates them."""

from gobun.expectations.catalogue import Catalogue, known_names, known_releases
from gobun.expectations.range_update import Update, update_expectations
from gobun.expectations.row_review import is_unexpected, lint, review, unexplained_rows
from gobun.expectations.rows import (
    TODO_REASON,
    ExpectationRow,
    Expectations,
    Place,
    place_of,
    read_expectations,
    this_place,
)

__all__ = [
    "TODO_REASON",
    "Catalogue",
    "ExpectationRow",
    "Expectations",
    "Place",
    "Update",
    "is_unexpected",
    "known_names",
    "known_releases",
    "lint",
    "place_of",
    "read_expectations",
    "review",
    "this_place",
    "unexplained_rows",
    "update_expectations",
]
