"""The record format on disk: tf.train.Example in TFRecord framing, with an index of offsets.

Both are written by hand: three features and one frame need neither TensorFlow nor protobuf, and
bytes written by hand are the same in every version of either.

Formats: https://www.tensorflow.org/tutorials/load_data/tfrecord (framing and masked checksums),
tensorflow/core/example/example.proto and feature.proto (messages).
"""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c
import numpy as np

from cdm.files import whole_file

# A frame: uint64 length, uint32 masked CRC of these 8 bytes; the data, uint32 masked CRC of it.
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
FRAME_BYTES = HEADER.size + FOOTER.size

_LENGTH = struct.Struct("<Q")
_MASK_DELTA = 0xA282EAD8
_WORD = 0xFFFFFFFF


class Example(NamedTuple):
    """One record: the image's name in its source, its raw bytes (uint8, HWC, RGB), its class."""

    id: bytes
    image: memoryview
    label: int


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One file of records, as dataset_info.json lists it. `file` has no folder."""

    file: str
    examples: int
    bytes: int
    sha256: str


def masked_crc32c(data: bytes) -> int:
    """CRC-32C rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _WORD


def encode_example(identifier: bytes, image: bytes, label: int) -> bytes:
    """A tf.train.Example with the features `id`, `image` and `label`, in this (sorted) order.

    The bytes are those of a deterministic protobuf serialization. `label` must not be negative.
    """
    if label < 0:
        raise ValueError(f"label {label} is negative; labels count from 0")
    features = (
        _entry(b"id", _field(1, _field(1, identifier)))
        + _entry(b"image", _field(1, _field(1, image)))
        # A repeated int64 is packed: its values are the content of a length-delimited field.
        + _entry(b"label", _field(3, _field(1, _varint(label))))
    )
    return _field(1, features)


def decode_example(data: bytes) -> Example:
    """The inverse of `encode_example`; accepts the features in any order.

    Raises ValueError where the data is not such an Example. `image` is a view into `data`.
    """
    view = memoryview(data)
    found: dict[bytes, memoryview] = {}
    try:
        start, end = _delimited(data, 0, 1)
        while start < end:
            entry, start = _delimited(data, start, 1)
            key_start, key_end = _delimited(data, entry, 1)
            value_start, value_end = _delimited(data, key_end, 2)
            found[data[key_start:key_end]] = view[value_start:value_end]
        identifier = _feature(found[b"id"], 1)
        image = _feature(found[b"image"], 1)
        label, _ = _read_varint(_feature(found[b"label"], 3), 0)
    except (KeyError, IndexError) as error:
        raise ValueError(f"not an Example with id, image and label: {error!r}") from error
    return Example(bytes(identifier), image, label)


def frame(data: bytes) -> bytes:
    """The TFRecord frame around the data of one record."""
    length = _LENGTH.pack(len(data))
    return b"".join(
        (length, FOOTER.pack(masked_crc32c(length)), data, FOOTER.pack(masked_crc32c(data)))
    )


def unframe(framed: bytes, *, check: bool = True) -> bytes:
    """The data in one frame; ValueError if its length or a checksum does not hold.

    `check=False` leaves out the checksum of the data, not that of the length.
    """
    length = _frame_length(framed)
    if len(framed) != length + FRAME_BYTES:
        raise ValueError(f"the frame is {len(framed)} bytes long, expected {length + FRAME_BYTES}")
    data = framed[HEADER.size : -FOOTER.size]
    if check and FOOTER.unpack_from(framed, HEADER.size + length)[0] != masked_crc32c(data):
        raise ValueError("the checksum of the data does not hold")
    return data


def index_path(shard: str | Path) -> Path:
    """The file of offsets that lies beside a file of records."""
    return Path(shard).with_suffix(".idx")


def read_index(path: str | Path) -> np.ndarray:
    """Offsets of the records and, last, the size of the file: int64 [n + 1].

    ValueError if the file cannot be an index: its size is no multiple of 8, or offsets do not rise.
    """
    data = Path(path).read_bytes()
    if len(data) < 8 or len(data) % 8:
        raise ValueError(f"{path} is {len(data)} bytes long, expected whole numbers of 8 bytes")
    offsets = np.frombuffer(data, "<u8").astype(np.int64)
    if offsets[0] != 0 or np.any(np.diff(offsets) < FRAME_BYTES):
        raise ValueError(f"{path} is no index of records: its offsets do not rise from 0")
    return offsets


def scan_index(path: str | Path) -> np.ndarray:
    """The same offsets, found by going through the file of records: int64 [n + 1].

    ValueError names the record at which the file is damaged or ends too early.
    """
    path = Path(path)
    size = path.stat().st_size
    offsets = [0]
    with path.open("rb") as file:
        while offsets[-1] < size:
            file.seek(offsets[-1])
            try:
                end = offsets[-1] + _frame_length(file.read(HEADER.size)) + FRAME_BYTES
            except ValueError as error:
                raise ValueError(f"{path}, record {len(offsets) - 1}: {error}") from error
            if end > size:
                raise ValueError(
                    f"{path} is cut short: record {len(offsets) - 1} should end at byte {end}, "
                    f"the file at {size}"
                )
            offsets.append(end)
    return np.array(offsets, np.int64)


class ShardWriter:
    """Appends records to an open file, and remembers their offsets and the file's checksum."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._hash = hashlib.sha256()
        self.offsets = [0]

    def write(self, identifier: bytes, image: bytes, label: int) -> None:
        """Appends one record."""
        framed = frame(encode_example(identifier, image, label))
        self._file.write(framed)
        self._hash.update(framed)
        self.offsets.append(self.offsets[-1] + len(framed))

    def describe(self, path: str | Path) -> ShardFile:
        """What dataset_info.json says about the file."""
        return ShardFile(
            file=Path(path).name,
            examples=len(self.offsets) - 1,
            bytes=self.offsets[-1],
            sha256=self._hash.hexdigest(),
        )


@contextmanager
def shard_writer(path: str | Path) -> Iterator[ShardWriter]:
    """A ShardWriter whose file and index appear when the block ends, or not at all."""
    with whole_file(path) as file:
        writer = ShardWriter(file)
        yield writer
    with whole_file(index_path(path)) as index:
        index.write(np.array(writer.offsets, "<u8").tobytes())


def _frame_length(header: bytes) -> int:
    if len(header) < HEADER.size:
        raise ValueError("the file ends within the head of a record")
    length, checksum = HEADER.unpack_from(header)
    if checksum != masked_crc32c(header[: _LENGTH.size]):
        raise ValueError("the checksum of the record's length does not hold")
    return length


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field (wire type 2)."""
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _entry(key: bytes, feature: bytes) -> bytes:
    """One entry of the map<string, Feature> in Features."""
    return _field(1, _field(1, key) + _field(2, feature))


def _read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """A varint and the position behind it."""
    byte = data[position]
    position += 1
    if byte < 0x80:
        return byte, position
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _delimited(data: bytes | memoryview, position: int, number: int) -> tuple[int, int]:
    """Start and end of the content of the length-delimited field at `position`."""
    if data[position] != number << 3 | 2:
        raise ValueError(
            f"byte {position} is {data[position]}, expected field {number} of an Example"
        )
    length, start = _read_varint(data, position + 1)
    if start + length > len(data):
        raise ValueError(f"a field of {length} bytes at byte {position} passes the end")
    return start, start + length


def _feature(feature: memoryview, kind: int) -> memoryview:
    """The one value of a Feature that holds a list of this kind (1 bytes, 3 int64)."""
    start, end = _delimited(feature, 0, kind)
    start, end = _delimited(feature[:end], start, 1)
    return feature[start:end]
