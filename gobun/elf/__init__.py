"""Reads and edits finished ELF libraries: 64-bit, little-endian, for x86-64 and arm64.

``image.py`` reads, ``editor.py`` changes. Neither knows what an edit is for.
"""

from gobun.elf.editor import Editor, NewSegment
from gobun.elf.image import Image, Relocation, Section, Segment, Symbol

__all__ = ["Editor", "Image", "NewSegment", "Relocation", "Section", "Segment", "Symbol"]
