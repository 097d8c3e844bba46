"""Reads and edits finished ELF libraries: 64-bit, little-endian, for x86-64 and arm64.

``image.py`` reads, ``editor.py`` changes, and ``new_segment.py`` holds the bytes that are added.
None of them knows what an edit is for.
"""

from gobun.elf.editor import Editor
from gobun.elf.image import Image, Relocation, Section, Segment, Symbol
from gobun.elf.new_segment import NewSegment

__all__ = ["Editor", "Image", "NewSegment", "Relocation", "Section", "Segment", "Symbol"]
