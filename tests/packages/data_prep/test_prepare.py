import dataclasses
import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cdm.data.reader import open_split
from cdm.data.records import ShardWriter
from cdm_data_prep import pixels
from cdm_data_prep.prepare import Preparation, prepare
from cdm_data_prep.sources import SourceOptions
from cdm_data_prep.sources.glyphs import draw
from cdm_data_prep.verify import verify

from .conftest import jpeg


def wanted(out, source="glyphs", resolutions=(4, 8), shards=3, workers=2, max_dead=0, **options):
    if source == "glyphs":
        options = {"num": 30, "num_validation": 10, **options}
    return Preparation(
        source=source,
        out=out,
        options=SourceOptions(resolutions=resolutions, **options),
        shards=shards,
        workers=workers,
        max_dead=max_dead,
    )


def contents(folder: Path) -> dict[str, str]:
    """The digests of all records and indexes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in ("*.tfrecord", "*.idx")
        for path in folder.rglob(pattern)
    }


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    """A prepared data set; tests must not change it."""
    out = tmp_path_factory.mktemp("prepared") / "glyphs"
    prepare(wanted(out))
    return out


def test_every_resolution_holds_the_same_images(glyphs):
    with open_split(glyphs, "train", (4, 8)) as split:
        assert len(split) == 30
        rows = np.arange(30)
        small, labels = split.read(rows, 4)
        large, labels_large = split.read(rows, 8)
        ids = split.ids(rows)
        assert ids == split.ids(rows, 8)
        np.testing.assert_array_equal(labels, labels_large)
        for row in rows:
            index = int(ids[row].removeprefix("glyph-"))
            assert labels[row] == index % 10
            expected = pixels.resize_square(draw(str(index % 10), 0, index, 128), (4, 8))
            np.testing.assert_array_equal(small[row], expected[4])
            np.testing.assert_array_equal(large[row], expected[8])
        assert np.abs(large.reshape(30, 4, 2, 4, 2, 3).mean((2, 4)) - small).max() <= 1


def test_description_agrees_with_the_records(glyphs):
    with open_split(glyphs, "train", (4, 8)) as split:
        info = split.info
        for size in (4, 8):
            images = split.read(np.arange(30), size)[0].reshape(-1, 3).astype(float)
            np.testing.assert_allclose(info.channel_mean[size], images.mean(0), rtol=1e-9)
            np.testing.assert_allclose(info.channel_std[size], images.std(0), rtol=1e-6)
    assert info.examples_per_class == (3,) * 10
    assert info.class_names == tuple("0123456789")
    assert info.counters == {"listed": 30, "written": 30, "dead": 0}
    assert [shard.examples for shard in info.shards[4]] == [10, 10, 10]
    assert info.shards[4][0].file == "glyphs-train-4-00000-of-00003.tfrecord"
    assert info.upscaled == {4: 0, 8: 0}
    assert list(verify(glyphs)) == []


def test_running_again_does_nothing(glyphs):
    before = {path: path.stat().st_mtime_ns for path in glyphs.rglob("*")}
    infos, done = prepare(wanted(glyphs))
    assert not done
    assert [info.split for info in infos] == ["train", "validation"]
    assert before == {path: path.stat().st_mtime_ns for path in glyphs.rglob("*")}


def test_number_of_threads_changes_no_byte(glyphs, tmp_path):
    prepare(wanted(tmp_path / "one", workers=1))
    assert contents(tmp_path / "one") == contents(glyphs)


def test_other_settings_are_refused_and_named(glyphs):
    with pytest.raises(ValueError, match=r"other settings:\n  seed: 0 there, 5 now\n  shards: 3"):
        prepare(wanted(glyphs, seed=5, shards=4))


def test_a_default_and_its_value_are_the_same_setting(tmp_path):
    prepare(wanted(tmp_path / "a", characters=None))
    assert not prepare(wanted(tmp_path / "a", characters="digits"))[1]


def test_folders_that_are_not_ours_are_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds files that are not of a preparation"):
        prepare(wanted(tmp_path))
    with pytest.raises(ValueError, match="is a file, expected a folder"):
        prepare(wanted(tmp_path / "letter.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_bad_input_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        prepare(wanted(tmp_path / "out", "folder", input=str(tmp_path / "none")))
    assert not (tmp_path / "out").exists()


def test_an_interrupted_preparation_goes_on(glyphs, tmp_path):
    """As a kill leaves it: some shards done, one cut, one without its report, orphans about."""
    out = tmp_path / "out"
    prepare(wanted(out))
    folder = out / "train"
    for split in ("train", "validation"):
        (out / split / "dataset_info.json").unlink()
    cut = folder / "4" / "glyphs-train-4-00001-of-00003.tfrecord"
    cut.write_bytes(cut.read_bytes()[:-3])
    (folder / "shards" / "00002-of-00003.json").unlink()
    (folder / "8" / ".glyphs-train-8-00002-of-00003.tfrecord.1234.tmp").write_bytes(b"orphan")
    (folder / "8" / "glyphs-train-8-00000-of-00009.tfrecord").write_bytes(b"of another list")
    kept = folder / "8" / "glyphs-train-8-00000-of-00003.tfrecord"
    before = kept.stat().st_mtime_ns

    _, done = prepare(wanted(out))
    assert done
    assert contents(out) == contents(glyphs)
    assert kept.stat().st_mtime_ns == before
    assert not list(out.rglob("*.tmp"))
    assert list(verify(out)) == []


def test_changed_input_is_written_anew(pictures, tmp_path):
    settings = wanted(
        tmp_path / "out", "folder", input=str(pictures), validation_fraction=0.0, shards=2
    )
    prepare(settings)
    (tmp_path / "out" / "train" / "dataset_info.json").unlink()
    (pictures / "cat" / "0.jpg").write_bytes(jpeg(77, (90, 80)))
    prepare(settings)
    assert list(verify(settings.out)) == []
    with open_split(settings.out, "train", (8,)) as split:
        row = split.ids(np.arange(12)).index("cat/0.jpg")
        square = pixels.central_square(pixels.decode(jpeg(77, (90, 80))).image)
        expected = pixels.resize_square(square, (4, 8))[8]
        np.testing.assert_array_equal(split.read(np.array([row]), 8)[0][0], expected)


def test_dead_letters_are_named_and_past_the_limit_fail_at_the_end(pictures, tmp_path):
    (pictures / "cat" / "notes.txt").write_text("not an image")
    (pictures / "dog" / "gone.jpg").symlink_to("nowhere")
    settings = wanted(tmp_path / "out", "folder", input=str(pictures), validation_fraction=0.0)
    with pytest.raises(ValueError, match=r"2 of 14 images could not be used.*--max-dead 2"):
        prepare(settings)
    letters = [
        json.loads(line)
        for line in (settings.out / "train" / "dead_letters.jsonl").read_text().splitlines()
    ]
    assert sorted((x["id"], x["stage"], x["exception"]) for x in letters) == [
        ("cat/notes.txt", "decode", "DecodeError"),
        ("dog/gone.jpg", "read", "FileNotFoundError"),
    ]
    assert str(pictures / "cat" / "notes.txt") in {x["source"] for x in letters}
    with pytest.raises(ValueError, match="did not finish"):
        open_split(settings.out, "train", (8,))

    written = {path: path.stat().st_mtime_ns for path in settings.out.rglob("*.tfrecord")}
    (info,), _ = prepare(dataclasses.replace(settings, max_dead=2))
    assert written == {path: path.stat().st_mtime_ns for path in settings.out.rglob("*.tfrecord")}
    assert info.counters == {"listed": 14, "written": 12, "dead": 2, "jpeg": 12}
    assert info.examples_per_class == (7, 5)
    assert list(verify(settings.out)) == []


def test_nothing_but_dead_letters(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"none of the 1 train images could be used; .*a.txt"):
        prepare(
            wanted(
                tmp_path / "out", "folder", input=str(folder), validation_fraction=0.0, max_dead=9
            )
        )


def test_images_without_classes(pictures, tmp_path):
    flat = pictures / "dog" / "more"
    (flat / "small.jpg").write_bytes(jpeg(1, (6, 9)))
    (info,), _ = prepare(
        wanted(tmp_path / "out", "folder", input=str(flat), validation_fraction=0.0)
    )
    assert (info.num_classes, info.class_names, info.examples_per_class) == (1, (), (2,))
    assert info.upscaled == {4: 0, 8: 1}
    assert [len(shards) for shards in info.shards.values()] == [2, 2]  # no more than images


def test_imagenet(write_imagenet, tmp_path):
    archive = write_imagenet({"n01": 3, "n02": 2})
    (info,), _ = prepare(
        wanted(tmp_path / "out", "imagenet", input=str(archive), num_classes=2, shards=2)
    )
    assert info.class_names == ("n01", "n02")
    assert info.examples_per_class == (3, 2)
    with open_split(tmp_path / "out", "train", (8,)) as split:
        assert sorted(split.ids(np.arange(5))) == ["n01_0", "n01_1", "n01_2", "n02_0", "n02_1"]


def test_full_disk_is_an_os_error_and_the_next_run_finishes(glyphs, tmp_path, monkeypatch, capfd):
    write = ShardWriter.write
    calls = iter(range(10**6))

    def full(self, *arguments):
        if next(calls) >= 35:  # within the second of the first split's three shards
            raise OSError(errno.ENOSPC, "No space left on device", "/disk/file")
        write(self, *arguments)

    monkeypatch.setattr(ShardWriter, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        prepare(wanted(tmp_path / "out", workers=1))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/disk/file"
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert "Traceback" not in capfd.readouterr().err
    finished = [*(tmp_path / "out" / "train" / "shards").iterdir()]
    assert len(finished) == 1

    monkeypatch.undo()
    before = finished[0].stat().st_mtime_ns
    prepare(wanted(tmp_path / "out", workers=1))
    assert finished[0].stat().st_mtime_ns == before
    assert contents(tmp_path / "out") == contents(glyphs)


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "resize_square", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        prepare(wanted(tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "floder"}, "unknown source 'floder'; did you mean folder"),
        ({"resolutions": ()}, "expected sizes from 1"),
        ({"resolutions": (8, 4)}, "different and ascending"),
        ({"resolutions": (0, 4)}, "expected sizes from 1"),
        ({"source": "folder", "input": "x", "validation_fraction": 1.0}, "less than 1"),
        ({"shards": 0}, "--shards from 1"),
        ({"seed": -1}, "must not be negative"),
    ],
)
def test_impossible_settings(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        prepare(wanted(tmp_path / "out", **changes))


def test_names_become_file_names(tmp_path):
    with pytest.raises(ValueError, match="'a/b' is no name"):
        prepare(dataclasses.replace(wanted(tmp_path / "out"), name="a/b"))
