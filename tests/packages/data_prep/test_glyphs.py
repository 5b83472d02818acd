from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from cdm_data_prep.pixels import resize_square
from cdm_data_prep.sources import SOURCES, SourceOptions
from cdm_data_prep.sources.glyphs import CHARACTERS, FONTS, draw


def glyph_sources(**options):
    kind = SOURCES["glyphs"]
    return kind.make(kind.with_defaults("glyphs", SourceOptions(resolutions=(16, 32), **options)))


def test_an_image_is_a_function_of_seed_and_index():
    image = draw("5", 3, 41, 128)
    assert image.shape == (128, 128, 3)
    assert image.dtype == np.uint8
    draw("7", 0, 0, 128)
    np.testing.assert_array_equal(image, draw("5", 3, 41, 128))
    assert np.abs(image.astype(int) - draw("5", 4, 41, 128)).mean() > 1
    assert np.abs(image.astype(int) - draw("5", 3, 42, 128)).mean() > 1


def test_the_canvas_does_not_change_the_picture():
    small = resize_square(draw("8", 0, 5, 128), (32,))[32].astype(int)
    large = resize_square(draw("8", 0, 5, 256), (32,))[32].astype(int)
    assert np.abs(small - large).mean() < 2


def test_classes_take_turns_and_splits_are_apart():
    sources = glyph_sources(num=25, num_validation=20)
    train, validation = sources["train"].listing(), sources["validation"].listing()
    assert train.class_names == tuple("0123456789")
    assert np.bincount([item.label for item in train.items]).tolist() == [3] * 5 + [2] * 5
    assert np.bincount([item.label for item in validation.items]).tolist() == [2] * 10
    assert {i.id for i in train.items}.isdisjoint(i.id for i in validation.items)
    with sources["train"].open() as read, sources["validation"].open() as read_validation:
        first, held_out = train.items[0], validation.items[0]
        assert (read(first) != read_validation(held_out)).any()
        assert f"index {first.location[0]}" in sources["train"].describe(first)


@pytest.mark.parametrize("font", FONTS)
def test_every_font_has_every_character(font):
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    face = ImageFont.truetype(str(path), 40)
    pictures = {bytes(face.getmask(c)) for c in CHARACTERS["alphanumeric"]}
    missing = bytes(face.getmask("\u0378"))  # an unassigned code point: the font's empty box
    assert len(pictures) == 36
    assert missing not in pictures


@pytest.mark.parametrize("index", range(120))
def test_the_glyph_is_whole_large_and_brighter_than_its_ground(index):
    character = CHARACTERS["alphanumeric"][index % 36]
    image = draw(character, 0, index, 128).astype(float).max(2)
    ink = image > 0.5 * 255  # the ground reaches 0.3, the ink begins at 0.85
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height <= 0.96 * 128
    assert width <= 0.96 * 128
    assert height > 0.73 * 128 or width > 0.93 * 128  # the wide letters are limited by their width
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert border.max() <= 0.3 * 255 + 1


def test_classes_can_be_told_apart():
    """Even the nearest of 2,000 neighbours by plain pixels gets 16×16 digits right."""

    def load(source):
        listing = source.listing()
        with source.open() as read:
            images = [resize_square(read(item), (16,))[16].max(2).ravel() for item in listing.items]
        flat = np.stack(images).astype(float)
        flat -= flat.mean(1, keepdims=True)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        return flat, np.array([item.label for item in listing.items])

    sources = glyph_sources(num=2000, num_validation=200)
    known, labels = load(sources["train"])
    asked, truth = load(sources["validation"])
    nearest = labels[(asked @ known.T).argmax(1)]
    assert (nearest == truth).mean() > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"characters": "runes"}, "expected one of digits, alphanumeric"),
        ({"num": 0}, "--num 0"),
        ({"input": "x"}, "--input means nothing to --source glyphs"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        glyph_sources(**options)


def test_no_validation_images():
    assert list(glyph_sources(num=5, num_validation=0)) == ["train"]


def test_letters():
    listing = glyph_sources(characters="alphanumeric", num=36)["train"].listing()
    assert "".join(listing.class_names) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
