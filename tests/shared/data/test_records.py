import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from cdm.data.records import (
    decode_example,
    encode_example,
    frame,
    index_path,
    masked_crc32c,
    read_index,
    scan_index,
    shard_writer,
    unframe,
)


def plain_crc32c(data: bytes) -> int:
    """Bit by bit, from the definition: the reflected Castagnoli polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def protobuf_example():
    """The class of tf.train.Example, built from its definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    repeated = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    optional = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields, parent=file.message_type):
        built = parent.add(name=name)
        for number, (label, field, kind, type_name) in fields:
            built.field.add(
                name=field, number=number, label=label, type=kind, type_name=type_name or None
            )
        return built

    message("BytesList", (1, (repeated, "value", kinds.TYPE_BYTES, None)))
    message("FloatList", (1, (repeated, "value", kinds.TYPE_FLOAT, None)))
    message("Int64List", (1, (repeated, "value", kinds.TYPE_INT64, None)))
    feature = message(
        "Feature",
        (1, (optional, "bytes_list", kinds.TYPE_MESSAGE, ".t.BytesList")),
        (2, (optional, "float_list", kinds.TYPE_MESSAGE, ".t.FloatList")),
        (3, (optional, "int64_list", kinds.TYPE_MESSAGE, ".t.Int64List")),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message(
        "Features", (1, (repeated, "feature", kinds.TYPE_MESSAGE, ".t.Features.FeatureEntry"))
    )
    entry = message(
        "FeatureEntry",
        (1, (optional, "key", kinds.TYPE_STRING, None)),
        (2, (optional, "value", kinds.TYPE_MESSAGE, ".t.Feature")),
        parent=features.nested_type,
    )
    entry.options.map_entry = True
    message("Example", (1, (optional, "features", kinds.TYPE_MESSAGE, ".t.Features")))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


Example = protobuf_example()


@given(st.binary(max_size=40))
def test_masked_checksum_agrees_with_the_definition(data):
    crc = plain_crc32c(data)
    assert masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_checksum_known_value():
    assert plain_crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value


@pytest.mark.parametrize("label", [0, 1, 127, 128, 999, 2**40])
@pytest.mark.parametrize("size", [0, 1, 100, 3 * 64 * 64])
def test_example_is_what_protobuf_writes_and_reads(label, size):
    image = bytes(k % 251 for k in range(size))
    ours = encode_example(b"n01440764_10026", image, label)

    message = Example.FromString(ours)
    features = message.features.feature
    assert sorted(features) == ["id", "image", "label"]
    assert features["id"].bytes_list.value[:] == [b"n01440764_10026"]
    assert features["image"].bytes_list.value[:] == [image]
    assert features["label"].int64_list.value[:] == [label]
    assert message.SerializeToString(deterministic=True) == ours

    back = decode_example(ours)
    assert (back.id, bytes(back.image), back.label) == (b"n01440764_10026", image, label)


def test_decoding_accepts_another_order_of_the_features():
    data = encode_example(b"x", b"abc", 5)
    keys = [b"\x0a\x02id", b"\x0a\x05image", b"\x0a\x05label"]
    # An entry begins with its tag and its length, one byte each here.
    starts = [data.index(key) - 2 for key in keys] + [len(data)]
    parts = [data[first:last] for first, last in pairwise(starts)]
    swapped = data[: starts[0]] + parts[2] + parts[0] + parts[1]
    assert Example.FromString(swapped) == Example.FromString(data)
    assert decode_example(swapped).label == 5


@pytest.mark.parametrize("data", [b"", b"\x0a\x00", b"hello", encode_example(b"x", b"abc", 5)[:-4]])
def test_decoding_refuses_what_is_no_example(data):
    with pytest.raises(ValueError, match=r"Example|passes the end"):
        decode_example(data)


def test_labels_count_from_zero():
    with pytest.raises(ValueError, match="label -1 is negative"):
        encode_example(b"x", b"", -1)


@given(st.binary(max_size=60), st.data())
def test_every_flipped_bit_of_a_frame_is_noticed(data, choice):
    framed = bytearray(frame(data))
    assert unframe(bytes(framed)) == data
    bit = choice.draw(st.integers(0, 8 * len(framed) - 1))
    framed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="checksum"):
        unframe(bytes(framed))


def write(path: Path, count: int) -> None:
    with shard_writer(path) as writer:
        for record in range(count):
            writer.write(f"{record}".encode(), bytes(record), record)


def test_shard_is_read_by_tensorboards_reader(tmp_path):
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    path = tmp_path / "a.tfrecord"
    write(path, 5)
    reader = PyRecordReader_New(str(path))
    labels = []
    for _ in range(5):
        reader.GetNext()
        labels.append(decode_example(reader.record()).label)
    assert labels == [0, 1, 2, 3, 4]


def test_index_and_description_agree_with_the_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    with shard_writer(path) as writer:
        writer.write(b"x", b"abc", 1)
        writer.write(b"yy", b"abc", 2)
    described = writer.describe(path)
    assert described.bytes == path.stat().st_size
    assert described.examples == 2
    assert described.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    offsets = read_index(index_path(path))
    np.testing.assert_array_equal(offsets, scan_index(path))
    assert offsets[0] == 0
    assert offsets[-1] == described.bytes
    assert len(offsets) == 3


def test_shard_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.tfrecord"

    def interrupted():
        with shard_writer(path) as writer:
            writer.write(b"x", b"abc", 1)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_scanning_a_cut_file_names_the_record(tmp_path):
    path = tmp_path / "a.tfrecord"
    write(path, 4)
    offsets = scan_index(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: offsets[2] + 20])
    with pytest.raises(ValueError, match=r"cut short: record 2"):
        scan_index(path)
    path.write_bytes(whole[: offsets[2] + 3])
    with pytest.raises(ValueError, match=r"record 2: the file ends within the head"):
        scan_index(path)


def test_index_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.idx"
    path.write_bytes(b"abc")
    with pytest.raises(ValueError, match="whole numbers of 8"):
        read_index(path)
    path.write_bytes(np.array([0, 4], "<u8").tobytes())
    with pytest.raises(ValueError, match="do not rise"):
        read_index(path)
