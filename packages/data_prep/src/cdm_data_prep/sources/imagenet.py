"""ImageNet as it is distributed: ILSVRC2012_img_train.tar, a tar of one tar for each class.

The images are read in place; nothing is unpacked. A label is the rank of the class's WordNet id
among the sorted ones, as everywhere in the literature (and not the number of the devkit).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cdm_data_prep.sources.base import Item, Listing, Reader, Source, SourceKind, SourceOptions
from cdm_data_prep.sources.tar_index import Member, members

NUM_CLASSES = 1000

_EXPECTED = "expected ILSVRC2012_img_train.tar, which holds one .tar for each class"


@dataclass(frozen=True)
class ImageNet:
    """The images of a nested archive."""

    archive: str

    def listing(self) -> Listing:
        """Goes through the headers of the archive (about 8 s for all of ImageNet).

        Raises ValueError if it is not such an archive, or damaged.
        """
        with _opened(self.archive) as file:
            outer = list(members(file, 0, os.fstat(file).st_size, self.archive))
            classes = self._classes(outer)
            items = [
                Item(PurePosixPath(image.name).stem, label, (image.offset, image.size))
                for label, (wnid, tar) in enumerate(classes)
                for image in members(
                    file, tar.offset, tar.offset + tar.size, f"{self.archive}: {wnid}.tar"
                )
            ]
        if not items:
            raise ValueError(f"{self.archive} holds no images; {_EXPECTED}")
        return Listing(items, tuple(wnid for wnid, _ in classes))

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """A reader of byte ranges of the archive."""
        with _opened(self.archive) as file:

            def read(item: Item) -> bytes:
                offset, size = map(int, item.location)
                data = os.pread(file, size, offset)
                if len(data) < size:
                    raise ValueError(f"the archive ends within the image, after {len(data)} bytes")
                return data

            yield read

    def describe(self, item: Item) -> str:
        """The archive, and where in it the image lies."""
        offset, size = item.location
        return f"{self.archive} bytes {offset}+{size}"

    def _classes(self, outer: list[Member]) -> list[tuple[str, Member]]:
        """(WordNet id, archive) of each class, sorted."""
        odd = [member.name for member in outer if not member.name.endswith(".tar")]
        if odd:
            looks_like = ""
            if any(PurePosixPath(name).name.startswith("ILSVRC2012_val_") for name in odd):
                looks_like = "; this looks like the validation archive, which has no labels in it"
            raise ValueError(f"{self.archive} holds '{odd[0]}'{looks_like}; {_EXPECTED}")
        if not outer:
            raise ValueError(f"{self.archive} is empty; {_EXPECTED}")
        classes = sorted((PurePosixPath(member.name).stem, member) for member in outer)
        names = [name for name, _ in classes]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{self.archive} holds the class {twice} more than once")
        return classes


@contextmanager
def _opened(archive: str) -> Iterator[int]:
    try:
        file = os.open(archive, os.O_RDONLY)
    except FileNotFoundError:
        raise ValueError(f"the input {archive} does not exist; {_EXPECTED}") from None
    try:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise ValueError(
                f"the input {archive} is a folder; {_EXPECTED}. "
                "For unpacked images use --source folder"
            )
        yield file
    finally:
        os.close(file)


def _make(options: SourceOptions) -> dict[str, Source]:
    if options.input is None:
        raise ValueError(f"--source imagenet needs --input FILE; {_EXPECTED}")
    sources: dict[str, Source] = {"train": ImageNet(str(Path(options.input).absolute()))}
    if options.validation_input is not None:
        sources["validation"] = ImageNet(str(Path(options.validation_input).absolute()))
    return sources


KIND = SourceKind(
    make=_make,
    defaults={"input": None, "validation_input": None, "validation_fraction": 0.0},
    default_name=lambda options: "imagenet",
    expected_classes=NUM_CLASSES,
)
