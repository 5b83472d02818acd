import io
import os
import tarfile

import pytest

from cdm_data_prep.sources import SOURCES, SourceOptions
from cdm_data_prep.sources.folder import Folder
from cdm_data_prep.sources.imagenet import ImageNet
from cdm_data_prep.sources.tar_index import members

from .conftest import jpeg, tar_bytes


def test_folder_lists_classes_by_sorted_name(pictures):
    source = Folder(str(pictures))
    listing = source.listing()
    assert listing.class_names == ("cat", "dog")
    assert [(item.id, item.label) for item in listing.items] == [
        *((f"cat/{k}.jpg", 0) for k in (0, 1, 2, 3, 5, 6)),
        ("cat/more/4.jpg", 0),
        *((f"dog/{k}.jpg", 1) for k in (0, 1, 2, 3)),
        ("dog/more/4.jpg", 1),
    ]
    with source.open() as read:
        assert read(listing.items[7]) == jpeg(10)
    assert source.describe(listing.items[7]) == str(pictures / "dog" / "0.jpg")


def test_folder_without_classes(pictures):
    listing = Folder(str(pictures / "dog" / "more")).listing()
    assert listing.class_names == ()
    assert [(item.id, item.label) for item in listing.items] == [("4.jpg", 0)]


def test_folder_with_a_broken_link_lists_it(pictures):
    (pictures / "cat" / "gone.jpg").symlink_to("nowhere")
    source = Folder(str(pictures))
    item = next(item for item in source.listing().items if item.id == "cat/gone.jpg")
    with source.open() as read, pytest.raises(FileNotFoundError):
        read(item)


def test_what_is_no_folder_of_images(pictures, tmp_path):
    expected = "expected FOLDER/CLASS/IMAGE"
    with pytest.raises(ValueError, match=rf"does not exist; {expected}"):
        Folder(str(tmp_path / "nothing")).listing()
    with pytest.raises(ValueError, match=rf"is a file; {expected}"):
        Folder(str(pictures / "cat" / "0.jpg")).listing()
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"there are no files in .*; {expected}"):
        Folder(str(tmp_path / "empty")).listing()
    (pictures / "loose.jpg").write_bytes(jpeg(0))
    with pytest.raises(ValueError, match=r"files beside them \(loose.jpg"):
        Folder(str(pictures)).listing()


def test_imagenet_reads_the_nested_archive_in_place(write_imagenet):
    # Not in order in the archive: labels are ranks of the sorted ids.
    path = write_imagenet({"n02": 3, "n01": 2})
    source = ImageNet(str(path))
    listing = source.listing()
    assert listing.class_names == ("n01", "n02")
    assert [(item.id, item.label) for item in listing.items] == [
        ("n01_0", 0),
        ("n01_1", 0),
        ("n02_0", 1),
        ("n02_1", 1),
        ("n02_2", 1),
    ]
    with source.open() as read:
        assert read(listing.items[1]) == jpeg(101)
        assert read(listing.items[4]) == jpeg(2)
    assert f"{path} bytes " in source.describe(listing.items[0])


def test_a_reader_notices_an_archive_that_became_shorter(write_imagenet):
    path = write_imagenet({"n01": 2})
    source = ImageNet(str(path))
    item = source.listing().items[1]
    os.truncate(path, int(item.location[0]) + 5)
    with source.open() as read, pytest.raises(ValueError, match="ends within the image, after 5"):
        read(item)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_index_agrees_with_tarfile(tmp_path, format):
    path = tmp_path / "a.tar"
    long = "folder/" + "x" * 90 + "/" + "y" * 60 + ".txt"
    with tarfile.open(path, "w", format=format) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, size in {"a": 0, "folder/b": 512, long: 700, "c": 1}.items():
            info = tarfile.TarInfo(name)
            info.size = size
            info.mtime = 1.5 if format == tarfile.PAX_FORMAT else 1
            tar.addfile(info, io.BytesIO(bytes(size)))
    with tarfile.open(path) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar.getmembers() if m.isfile()]
    with path.open("rb") as file:
        found = list(members(file.fileno(), 0, path.stat().st_size, "a.tar"))
    assert [tuple(member) for member in found] == expected
    assert len(found) == 4


def damaged(data, at):
    return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


def with_link():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        link = tarfile.TarInfo("n01.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return file.getvalue()


GOOD = tar_bytes({"n01.tar": tar_bytes({"n01_0.JPEG": jpeg(0)})})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a tar archive: it is shorter"),
        (b"\x1f\x8b" + bytes(range(256)) * 8, "not a tar archive .or is compressed"),
        (GOOD[:2000], "is cut short: a member of .* passes the end"),
        (damaged(GOOD, 520), r"n01.tar is not a tar archive"),
        (tar_bytes({}), "is empty"),
        (tar_bytes({"n01.tar": tar_bytes({})}), "holds no images"),
        (tar_bytes({"../n01.tar": b""}), "a name that leaves"),
        (tar_bytes({"/n01.tar": b""}), "a name that leaves"),
        (tar_bytes({"n01.tar": tar_bytes({"../../x": b""})}), "a name that leaves"),
        (with_link(), "which is a link or a device"),
        (tar_bytes({"a/n01.tar": b"", "b/n01.tar": b""}), "n01 more than once"),
        (tar_bytes({"ILSVRC2012_val_00000001.JPEG": b""}), "looks like the validation archive"),
        (tar_bytes({"readme.txt": b""}), "holds 'readme.txt'; expected ILSVRC2012_img_train"),
    ],
)
def test_archives_that_are_refused(tmp_path, data, message):
    path = tmp_path / "train.tar"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        ImageNet(str(path)).listing()


def test_a_damaged_header_further_on_is_named(tmp_path):
    inner = tar_bytes({"n01_0.JPEG": b"x" * 100, "n01_1.JPEG": b"y" * 100})
    path = tmp_path / "train.tar"
    path.write_bytes(tar_bytes({"n01.tar": damaged(inner, 1024 + 10)}))
    with pytest.raises(ValueError, match=r"n01.tar is damaged: no valid header at byte 1024"):
        ImageNet(str(path)).listing()


def test_missing_archive_and_folder_in_its_place(tmp_path):
    with pytest.raises(ValueError, match=r"does not exist; expected ILSVRC2012_img_train.tar"):
        ImageNet(str(tmp_path / "nothing.tar")).listing()
    with pytest.raises(ValueError, match=r"is a folder; .* use --source folder"):
        ImageNet(str(tmp_path)).listing()


@pytest.mark.parametrize("name", ["folder", "imagenet"])
def test_input_is_needed(name):
    kind = SOURCES[name]
    with pytest.raises(ValueError, match=f"--source {name} needs --input"):
        kind.make(kind.with_defaults(name, SourceOptions()))
    with pytest.raises(ValueError, match="--num means nothing"):
        kind.with_defaults(name, SourceOptions(num=5))
    with pytest.raises(ValueError, match="exclude each other"):
        kind.with_defaults(name, SourceOptions(validation_input="x", validation_fraction=0.5))


def test_names_of_folders():
    name = SOURCES["folder"].default_name
    assert name(SourceOptions(input="/a/cifar10/train")) == "cifar10"
    assert name(SourceOptions(input="/a/flowers/")) == "flowers"
