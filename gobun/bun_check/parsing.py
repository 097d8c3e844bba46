"""Parses sources with tree-sitter to find syntax errors and the functions that a file defines.

Its grammars do not know every macro of Bun's C++, so the unpatched file may have errors too. A
patch must not add one.
"""

from __future__ import annotations

import functools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import tree_sitter_cpp
import tree_sitter_rust
import tree_sitter_zig
from tree_sitter import Language, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

_LANGUAGES = {
    "c": tree_sitter_cpp,
    "cc": tree_sitter_cpp,
    "cpp": tree_sitter_cpp,
    "h": tree_sitter_cpp,
    "rs": tree_sitter_rust,
    "zig": tree_sitter_zig,
}
_FUNCTIONS = {"function_declaration", "function_definition", "function_item"}
_NAMES = {"identifier", "field_identifier", "destructor_name", "operator_name"}


class ParsedSource(msgspec.Struct, frozen=True):
    """The result of parsing a file."""

    errors: tuple[tuple[int, str], ...]
    """Syntax errors: the line number, counted from 1, and the start of the line."""
    functions: frozenset[str]


def is_known(path: str) -> bool:
    """Return whether a grammar exists for a file with this name."""
    return PurePosixPath(path).suffix[1:] in _LANGUAGES


def parse(path: str, content: bytes) -> ParsedSource:
    """Parse the content of a file. Its name selects the language."""
    root = _parser(PurePosixPath(path).suffix[1:]).parse(content).root_node
    errors: list[tuple[int, str]] = []
    functions: set[str] = set()
    for node in _nodes(root):
        if node.is_error or node.is_missing:
            text = content[node.start_byte : node.end_byte].decode(errors="replace")
            errors.append((node.start_point.row + 1, text.partition("\n")[0].strip()[:60]))
        if node.type in _FUNCTIONS:
            functions.add(_name(node, content))
    return ParsedSource(tuple(sorted(errors)), frozenset(functions))


def new_errors(before: ParsedSource | None, after: ParsedSource) -> list[tuple[int, str]]:
    """Return the errors that the file did not have before, whatever line they are on."""
    had = [text for _, text in before.errors] if before is not None else []
    new = []
    for line, text in after.errors:
        if text in had:
            had.remove(text)
        else:
            new.append((line, text))
    return new


@functools.cache
def _parser(suffix: str) -> Parser:
    return Parser(Language(_LANGUAGES[suffix].language()))


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)


def _name(function: Node, content: bytes) -> str:
    """Return the last part of a function's name: ``b`` for ``A::b``."""
    named = function.child_by_field_name("name")
    if named is None:
        declared = function.child_by_field_name("declarator")
        while declared is not None and declared.type != "function_declarator":
            declared = declared.child_by_field_name("declarator") or next(
                (each for each in declared.children if each.type == "function_declarator"), None
            )
        named = declared.child_by_field_name("declarator") if declared is not None else None
    while named is not None and named.type not in _NAMES:
        named = named.child_by_field_name("name")
    return content[named.start_byte : named.end_byte].decode() if named is not None else ""
