"""Where the members of a tar archive lie, so that they can be read in place.

`tarfile` would do, but takes seven times as long for an archive of a million members.
Format: POSIX.1-1988 ustar, the long names of GNU tar, and the path and size of pax headers.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = 512
_REGULAR = (b"0", b"\0")
_FOLDER = b"5"
_PAX, _PAX_GLOBAL, _GNU_LONG_NAME = b"x", b"g", b"L"


class Member(NamedTuple):
    """A regular file in an archive; `offset` counts from the start of the outermost file."""

    name: str
    offset: int
    size: int


def members(file: int, start: int, end: int, archive: str) -> Iterator[Member]:
    """The regular files of the archive in bytes start … end of an open file (its descriptor).

    Raises ValueError for damage and for what an archive of images should not contain: links,
    devices, names that leave the folder. `archive` names the archive in messages.
    """
    position = start
    name: str | None = None  # from a header that belongs to the next member
    size: int | None = None
    while True:
        header = os.pread(file, _BLOCK, position)
        if len(header) < _BLOCK or position + _BLOCK > end:
            if position == start:
                raise ValueError(f"{archive} is not a tar archive: it is shorter than one header")
            # Two empty blocks end an archive; some writers leave them out at an exact end.
            if position == end:
                return
            raise ValueError(f"{archive} is cut short at byte {position - start}; get it again")
        if not header.strip(b"\0"):
            return
        _check(header, archive, position, start)
        kind = header[156:157]
        stored = _number(header[124:136]) if size is None else size
        content = position + _BLOCK
        if content + stored > end:
            raise ValueError(
                f"{archive} is cut short: a member of {stored} bytes begins at byte "
                f"{position - start} and passes the end; get it again"
            )
        position = content + -(-stored // _BLOCK) * _BLOCK
        if kind == _GNU_LONG_NAME:
            name = _text(os.pread(file, stored, content))
            continue
        if kind == _PAX:
            records = _pax(os.pread(file, stored, content), archive)
            name = records.get("path", name)
            size = int(records["size"]) if "size" in records else None
            continue
        if kind == _PAX_GLOBAL:
            continue
        full = _name(header) if name is None else name
        name = size = None
        if kind == _FOLDER:
            continue
        if kind not in _REGULAR:
            raise ValueError(
                f"{archive} holds '{full}', which is a link or a device (type {kind.decode()}), "
                "expected files only"
            )
        if full.startswith("/") or ".." in full.split("/"):
            raise ValueError(f"{archive} holds '{full}', a name that leaves the archive's folder")
        yield Member(full, content, stored)


def _check(header: bytes, archive: str, position: int, start: int) -> None:
    # The checksum counts its own field as blanks.
    expected = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    try:
        stored = _number(header[148:156])
    except ValueError:
        stored = -1
    if stored != expected:
        if position == start:
            raise ValueError(f"{archive} is not a tar archive (or is compressed: unpack it first)")
        raise ValueError(
            f"{archive} is damaged: no valid header at byte {position - start}; get it again"
        )


def _number(field: bytes) -> int:
    """An octal number, or GNU's base 256 for those that do not fit."""
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    return int(field.split(b"\0")[0].strip() or b"0", 8)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    # GNU tar writes "ustar  " and uses the place of the prefix otherwise.
    if header[257:263] == b"ustar\0" and (prefix := _text(header[345:500])):
        return f"{prefix}/{name}"
    return name


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax(data: bytes, archive: str) -> dict[str, str]:
    """Records of the form 'length key=value\\n', the length being the whole record's."""
    records = {}
    while data:
        head, blank, _ = data.partition(b" ")
        if not blank or not head.isdigit() or not 0 < int(head) <= len(data):
            raise ValueError(f"{archive} is damaged: it has a pax header that cannot be read")
        key, _, value = data[len(head) + 1 : int(head) - 1].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(head) :]
    return records
