import pytest

from cdm_data_prep.manifest import read_slice, write_manifest
from cdm_data_prep.sources import SOURCES, Item, Listing, SourceOptions
from cdm_data_prep.splits import default_shards, hold_out, in_written_order, plan_splits


def items(count, classes=4):
    return [Item(f"image-{k}", k % classes, (k,)) for k in range(count)]


def plan(name, shards=None, **options):
    kind = SOURCES[name]
    return plan_splits(kind, kind.with_defaults(name, SourceOptions(**options)), shards)


def test_held_out_images_stay_held_out_when_others_are_added():
    few = Listing(items(500), ("a", "b", "c", "d"))
    many = Listing(items(2000), ("a", "b", "c", "d"))
    train, held_out = hold_out(few, 0.1)
    more_train, more_held_out = hold_out(many, 0.1)
    assert {i.id for i in held_out.items} <= {i.id for i in more_held_out.items}
    assert {i.id for i in train.items} <= {i.id for i in more_train.items}
    assert len(more_train.items) + len(more_held_out.items) == 2000
    assert 150 < len(more_held_out.items) < 250  # binomial: 200 with deviation 13.4


def test_a_fraction_that_leaves_nothing():
    with pytest.raises(ValueError, match="leaves 3 for training and 0 for validation"):
        hold_out(Listing(items(3), ()), 0.001)


def test_written_order_mixes_classes_and_depends_on_the_seed():
    sorted_by_class = sorted(items(400), key=lambda item: item.label)
    ordered = in_written_order(sorted_by_class, 0)
    assert ordered == in_written_order(ordered[::-1], 0)
    assert ordered != in_written_order(ordered, 1)
    assert sorted(ordered, key=lambda i: i.location) == items(400)
    counts = [sum(item.label == label for item in ordered[:100]) for label in range(4)]
    assert min(counts) > 8  # 25 with deviation 4 each


def test_shards_are_equal_runs(tmp_path):
    listed = items(25)
    digest = write_manifest(tmp_path, listed, 4)
    slices = [read_slice(tmp_path, shard) for shard in range(4)]
    assert [len(part.items) for part in slices] == [6, 6, 6, 7]
    assert [item for part in slices for item in part.items] == listed
    assert len({part.digest for part in slices}) == 4
    assert write_manifest(tmp_path, listed, 5) == digest
    assert write_manifest(tmp_path, listed[:-1], 5) != digest


def test_manifest_carries_any_file_name(tmp_path):
    strange = [Item('a "quoted"\n\tname', 0, ("x\ny",)), Item("caf\udce9/é.jpg", 1, ("caf\udce9",))]
    write_manifest(tmp_path, strange, 1)
    assert read_slice(tmp_path, 0).items == strange


def test_number_of_shards():
    assert [default_shards(n) for n in (1, 1000, 1001, 1_281_167, 9_000_000)] == [
        1,
        1,
        2,
        1024,
        1024,
    ]


def test_folder_holds_out_a_tenth_unless_told_otherwise(pictures):
    splits = plan("folder", input=str(pictures), validation_fraction=0.5, shards=3)
    assert [split.name for split in splits] == ["train", "validation"]
    assert sum(len(split.items) for split in splits) == 12
    assert [split.class_names for split in splits] == [("cat", "dog")] * 2
    (only,) = plan("folder", input=str(pictures), validation_fraction=0)
    assert only.name == "train"
    assert only.shards == 1


def test_validation_labels_count_in_the_training_classes(pictures, tmp_path):
    other = tmp_path / "other"
    (other / "dog").mkdir(parents=True)
    (other / "dog" / "x.jpg").write_bytes(b"x")
    _, validation = plan("folder", input=str(pictures), validation_input=str(other))
    assert validation.class_names == ("cat", "dog")
    assert [item.label for item in validation.items] == [1]
    (other / "dog").rename(other / "bird")
    with pytest.raises(ValueError, match="classes that training has not: bird; training has cat"):
        plan("folder", input=str(pictures), validation_input=str(other))
    with pytest.raises(ValueError, match="no classes"):
        plan("folder", input=str(pictures), validation_input=str(other / "bird"))


def test_class_count_that_disagrees(pictures, write_imagenet):
    with pytest.raises(ValueError, match=r"has 2 classes, expected 3, given by --num-classes"):
        plan("folder", input=str(pictures), num_classes=3)
    archive = str(write_imagenet({"n01": 1, "n02": 1}))
    with pytest.raises(ValueError, match=r"2 classes, expected 1000.*say --num-classes 2"):
        plan("imagenet", input=archive)
    (train,) = plan("imagenet", input=archive, num_classes=2)
    assert train.class_names == ("n01", "n02")


def test_an_id_may_not_occur_twice(tmp_path, write_imagenet):
    from .conftest import tar_bytes

    path = tmp_path / "twice.tar"
    path.write_bytes(tar_bytes({"n01.tar": tar_bytes({"a/x.JPEG": b"1", "b/x.JPEG": b"2"})}))
    with pytest.raises(ValueError, match="the id 'x' more than once"):
        plan("imagenet", input=str(path), num_classes=1)


def test_class_names_that_are_no_text(pictures):
    (pictures / "dog").rename(pictures / "caf\udce9")
    with pytest.raises(ValueError, match=r"'caf\\udce9' cannot be written as text; rename it"):
        plan("folder", input=str(pictures))
