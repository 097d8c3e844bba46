"""What is known of cells, how results compare with it, and how it is brought up to date."""

from gobun.matrix.expect.known import Known, known_names, known_releases
from gobun.matrix.expect.review import is_unexpected, lint, review, unexplained
from gobun.matrix.expect.rows import (
    TODO,
    Expectations,
    Place,
    Row,
    place_of,
    read_expectations,
    this_place,
)
from gobun.matrix.expect.update import Update, update_expectations

__all__ = [
    "TODO",
    "Expectations",
    "Known",
    "Place",
    "Row",
    "Update",
    "is_unexpected",
    "known_names",
    "known_releases",
    "lint",
    "place_of",
    "read_expectations",
    "review",
    "this_place",
    "unexplained",
    "update_expectations",
]
