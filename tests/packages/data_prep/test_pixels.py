import io
import struct

import numpy as np
import pytest
from PIL import Image

from cdm_data_prep.pixels import DecodeError, central_square, decode, resize_square


def picture(height=37, width=53, seed=0):
    """Smooth, so that a JPEG of it is close to it."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(6 * x + seed) + np.cos(5 * y), np.sin(4 * y), np.cos(7 * x * y)]
    return np.clip(127 + 60 * np.stack(waves, -1), 0, 255).astype(np.uint8)


def encoded(image, format, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, format, **options)
    return file.getvalue()


def with_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_decode_as_in_pillow(mode, options):
    data = encoded(picture(), "JPEG", mode, **options)
    decoded = decode(data)
    assert decoded.decoder == "jpeg"
    np.testing.assert_array_equal(decoded.image, with_pillow(data))


def test_junk_behind_a_jpeg_does_no_harm():
    data = encoded(picture(), "JPEG")
    np.testing.assert_array_equal(decode(data + b"junk" * 9).image, decode(data).image)


def test_cmyk_and_other_formats_fall_back():
    cases = [
        encoded(picture(), "JPEG", "CMYK"),
        encoded(picture(), "PNG"),
        encoded(picture(), "GIF"),
        encoded(picture(), "BMP"),
        encoded(picture(), "WEBP", lossless=True),
        encoded(picture(), "PNG", "RGBA"),
        encoded(picture(), "PNG", "P"),
    ]
    for data in cases:
        decoded = decode(data)
        assert decoded.decoder == "fallback"
        np.testing.assert_array_equal(decoded.image, with_pillow(data))


def test_png_is_exact():
    image = picture()
    np.testing.assert_array_equal(decode(encoded(image, "PNG")).image, image)


def test_rotation_in_exif_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(), "JPEG", exif=exif)
    assert decode(data).image.shape == (37, 53, 3)


def test_flaw_that_pillow_forgives_is_counted():
    data = bytearray(encoded(picture(96, 96), "JPEG", quality=95))
    start = data.index(b"\xff\xda") + 40
    for position in range(start, start + 400, 3):
        data[position] = 0x55
    try:
        expected = with_pillow(bytes(data))
    except OSError:
        pytest.fail("the test's damage is more than Pillow forgives")
    decoded = decode(bytes(data))
    assert decoded.decoder == "decoded_with_warning"
    np.testing.assert_array_equal(decoded.image, expected)


def sixteen_bit_png(colour_type):
    """Pillow writes only grey ones; this is the header of any, and too little behind it."""
    header = struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(4)


def grey16(format):
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"<html><body>404 Not Found</body></html>", "not a picture in a known format"),
        (b"\xff\xd8\xff\xe0garbage", "OSError: Truncated File Read"),
        (encoded(picture(), "JPEG")[:-2], "truncated"),
        (encoded(picture(), "JPEG")[:400], "truncated|Error"),
        (encoded(picture(), "PNG")[:200], "truncated|Error"),
        (grey16("PNG"), "16 bits per sample; expected 8"),
        (sixteen_bit_png(2), "16 bits per sample; expected 8"),
        (grey16("TIFF"), "more than 8 bits"),
    ],
)
def test_what_cannot_be_decoded_says_why(data, message):
    with pytest.raises(DecodeError, match=message):
        decode(data)


@pytest.mark.parametrize(("height", "width"), [(5, 8), (8, 5), (7, 4), (4, 7), (6, 6), (9, 1)])
def test_central_square(height, width):
    image = np.arange(height * width * 3).reshape(height, width, 3)
    side = min(height, width)
    top = height // 2 - width // 2 if height > width else 0
    left = width // 2 - height // 2 if width > height else 0
    square = central_square(image)
    assert square.shape == (side, side, 3)
    np.testing.assert_array_equal(square[0, 0], image[top, left])
    np.testing.assert_array_equal(square[-1, -1], image[top + side - 1, left + side - 1])


def test_crop_offset_where_it_differs_from_the_floor():
    # 8//2 - 5//2 = 2, while (8 - 5) // 2 = 1.
    assert central_square(np.arange(8)[:, None, None] + np.zeros((8, 5, 3)))[0, 0, 0] == 2


def area_matrix(source, target):
    """The weights of every source pixel in every target pixel, from their overlap."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(overlap, 0) * target / source


@pytest.mark.parametrize("side", [375, 256, 97, 64])
def test_resizing_is_the_area_average(side):
    square = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    sizes = (16, 32, 64)
    for size, image in resize_square(square, sizes).items():
        parent = square.astype(np.float64)
        # The chain: from each size the next smaller one.
        for step in [s for s in sizes[::-1] if s >= size]:
            weights = area_matrix(parent.shape[0], step)
            parent = np.tensordot(weights, parent, 1)
            parent = np.swapaxes(np.tensordot(weights, parent, (1, 1)), 0, 1)
        exact = parent
        assert image.dtype == np.uint8
        assert np.abs(image - exact).max() <= 0.5 + 1e-3
        assert np.abs(image.astype(int) - np.rint(exact)).mean() < 1e-3


def test_the_chain_is_the_average_of_the_crop():
    """Averages of averages: where sizes divide, the chain equals one step from the crop."""
    square = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    chained = resize_square(square, (16, 32, 64, 128, 256))[16].astype(int)
    direct = resize_square(square, (16,))[16].astype(int)
    assert np.abs(chained - direct).max() <= 1
    assert (chained != direct).mean() < 0.001


def test_sizes_nest_up_to_rounding():
    square = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    images = resize_square(square, (32, 64, 128))
    for size in (32, 64):
        pooled = images[2 * size].reshape(size, 2, size, 2, 3).mean((1, 3))
        assert np.abs(pooled - images[size]).max() <= 1  # half a level of each rounding


def test_upscaling_repeats_pixels_and_spoils_no_smaller_size():
    square = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    images = resize_square(square, (8, 16, 64))
    np.testing.assert_array_equal(images[16], square)
    np.testing.assert_array_equal(images[64], square.repeat(4, 0).repeat(4, 1))
    exact = square.reshape(8, 2, 8, 2, 3).mean((1, 3))
    assert np.abs(images[8] - exact).max() <= 0.5


def test_sizes_that_do_not_divide_come_from_the_crop():
    square = np.random.default_rng(3).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        resize_square(square, (32, 48))[32], resize_square(square, (32,))[32]
    )
