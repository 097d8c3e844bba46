"""The ELF editor: the parts that move, the parts that stay, and damaged files."""

from __future__ import annotations

import random
from pathlib import Path

import made_elf
import pytest

from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.errors import UsageError

PATH = Path("made.so")
READ_EXECUTE = elf.PF_R | elf.PF_X


def image_of(data: bytes) -> Image:
    return Image(PATH, data)


def edit_image(data: bytes, *, content: bytes = b"content") -> tuple[Image, Image, int]:
    before = image_of(data)
    editor = Editor(before)
    segment = editor.open_segment(READ_EXECUTE)
    address = segment.add(content)
    segment.cover(".added", address, code=True)
    return before, image_of(editor.finish()), address


def section(image: Image, name: str) -> bytes:
    matching = next(each for each in image.sections if each.name == name)
    assert image.offset_of(matching.address, matching.size) == matching.offset
    return image.bytes_at(matching.offset, matching.size)


@pytest.mark.parametrize("machine", [made_elf.X64, made_elf.ARM64])
def test_editor_new_segment_is_mapped_behind_all_others(machine: int) -> None:
    before, after, address = edit_image(made_elf.library(machine=machine))

    assert section(after, ".added") == after.read_at(address, 7) == b"content"
    assert len(after.loads) == len(before.loads) + 1
    last = after.loads[-1]
    assert last.flags == READ_EXECUTE
    assert last.address >= before.loads[-1].address + before.loads[-1].memory_size
    assert (last.address - last.offset) % last.align == 0


def test_editor_header_table_grows_in_place() -> None:
    before, after, _ = edit_image(made_elf.library())

    assert after.segments_at == before.segments_at == 64
    assert len(after.segments) == len(before.segments) + 1


def test_editor_moved_note_keeps_build_id_and_segment() -> None:
    before, after, _ = edit_image(made_elf.library())

    assert section(after, ".note.gnu.build-id") == made_elf.BUILD_ID
    (note,) = after.of_kind(elf.PT_NOTE)
    assert note.address != before.of_kind(elf.PT_NOTE)[0].address
    assert after.read_at(note.address, note.file_size) == made_elf.BUILD_ID


def test_editor_moved_symbols_are_found_by_dynamic_table() -> None:
    before, after, _ = edit_image(made_elf.library())

    assert after.dynamic_value(elf.DT_SYMTAB) != before.dynamic_value(elf.DT_SYMTAB)
    assert after.symbol(1) == before.symbol(1)
    assert after.needed_libraries == before.needed_libraries


def test_editor_code_and_data_keep_their_addresses() -> None:
    before, after, _ = edit_image(made_elf.library())

    for name in (".text", ".init_array", ".got", ".go.buildinfo"):
        assert section(after, name) == section(before, name)
    start = made_elf.CODE_AT
    assert after.data[start : made_elf.DATA_AT] == before.data[start : made_elf.DATA_AT]


def test_editor_without_section_headers_moves_header_table() -> None:
    before, after, address = edit_image(made_elf.library(sections=False))

    assert after.segments_at != before.segments_at
    assert after.offset_of(after.loads[-1].address) <= after.segments_at
    assert after.read_at(address, 7) == b"content"
    assert after.sections == []


def test_editor_added_string_extends_dynamic_strings() -> None:
    before = image_of(made_elf.library())
    editor = Editor(before)
    editor.open_segment(READ_EXECUTE)
    at = editor.add_string("libadded.so")
    editor.dynamic.insert(0, (elf.DT_NEEDED, at))
    editor.dynamic.remove((elf.DT_FLAGS, 0x18))
    after = image_of(editor.finish())

    assert after.needed_libraries == ["libadded.so", *before.needed_libraries]
    assert section(after, ".dynstr") == after.strings


def test_editor_unmapped_section_is_added_or_replaced() -> None:
    editor = Editor(image_of(made_elf.library()))
    editor.open_segment(READ_EXECUTE)
    editor.add_unmapped(".debug_new", b"first")
    after = image_of(editor.finish())
    again = Editor(after)
    again.open_segment(READ_EXECUTE)
    again.add_unmapped(".debug_new", b"second")
    sections = [each for each in image_of(again.finish()).sections if each.name == ".debug_new"]

    assert len(sections) == 1
    assert sections[0].size == len(b"second")


def test_editor_dynamic_table_without_room_is_rejected() -> None:
    editor = Editor(image_of(made_elf.library(spare=1)))
    editor.open_segment(READ_EXECUTE)
    editor.dynamic.append((elf.DT_INIT, made_elf.CODE_AT))

    with pytest.raises(UsageError, match="no room in its dynamic table"):
        editor.finish()


def test_editor_same_input_gives_same_bytes() -> None:
    assert edit_image(made_elf.library())[1].data == edit_image(made_elf.library())[1].data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an ELF file"),
        (b"MZ" + bytes(100), "not an ELF file"),
        (b"\x7fELF\x02\x01", "ends inside its header"),
        (made_elf.library(kind=2), "not a shared library"),
        (
            made_elf.library(machine=made_elf.X64)[:18] + b"\x03\0" + bytes(60),
            "another architecture",
        ),
    ],
)
def test_image_other_file_is_rejected_by_name(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        image_of(data)


def test_image_random_damage_raises_only_its_errors() -> None:
    whole = made_elf.library()
    chance = random.Random(13)  # noqa: S311
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data) // 3)] = chance.randrange(256)
        try:
            edit_image(
                bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.3 else data)
            )
        except UsageError:
            refused += 1
    assert 100 < refused < 500
