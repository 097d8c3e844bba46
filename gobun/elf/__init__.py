"""Reads and edits finished ELF libraries: 64-bit, little-endian, for x86-64 and arm64.

``image.py`` reads a library, ``editor.py`` changes it, and ``new_segment.py`` contains the added
bytes. None of them knows the purpose of an edit.
"""

from gobun.elf.editor import Editor
from gobun.elf.image import Image, Relocation, Section, Segment, Symbol
from gobun.elf.new_segment import NewSegment

__all__ = ["Editor", "Image", "NewSegment", "Relocation", "Section", "Segment", "Symbol"]
