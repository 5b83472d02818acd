"""Image files in a folder: one sub-folder for each class, or files alone for no classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cdm_data_prep.sources.base import Item, Listing, Reader, Source, SourceKind, SourceOptions

_EXPECTED = "expected FOLDER/CLASS/IMAGE files, or FOLDER/IMAGE files for images without classes"


@dataclass(frozen=True)
class Folder:
    """The image files under `root`. Labels are the ranks of the sub-folders' sorted names."""

    root: str

    def listing(self) -> Listing:
        """Lists every file that is not hidden; whether it is an image shows when it is read.

        Raises ValueError if there are none, or some lie in class folders and others do not.
        """
        root = Path(self.root)
        if not root.is_dir():
            state = "is a file" if root.exists() else "does not exist"
            raise ValueError(f"the input {root} {state}; {_EXPECTED}")
        loose = [name for name in _visible(root) if not (root / name).is_dir()]
        classes = tuple(name for name in _visible(root) if (root / name).is_dir())
        files = {name: list(_files_under(root, name)) for name in classes}
        classes = tuple(name for name in classes if files[name])
        if loose and classes:
            raise ValueError(
                f"{root} holds class folders ({classes[0]}, …) and also files beside them "
                f"({loose[0]}, …), which have no class; move or hide these. {_EXPECTED}"
            )
        if not loose and not classes:
            raise ValueError(f"there are no files in {root}; {_EXPECTED}")
        if loose:
            return Listing([self._item(name, 0) for name in loose], ())
        return Listing(
            [self._item(path, label) for label, name in enumerate(classes) for path in files[name]],
            classes,
        )

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """A reader of whole files."""
        yield lambda item: (Path(self.root) / str(item.location[0])).read_bytes()

    def describe(self, item: Item) -> str:
        """The file's path."""
        return str(Path(self.root) / str(item.location[0]))

    def _item(self, path: str, label: int) -> Item:
        # The size goes into the digest of the listing: a replaced file is noticed when resuming.
        # A file that cannot be looked at, such as a broken link, becomes a dead letter later.
        try:
            size = (Path(self.root) / path).stat().st_size
        except OSError:
            size = -1
        return Item(path, label, (path, size))


def _visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _files_under(root: Path, name: str) -> Iterator[str]:
    """Files of one class, its sub-folders included, as paths relative to `root`, sorted."""
    for entry in _visible(root / name):
        path = f"{name}/{entry}"
        if (root / path).is_dir():
            yield from _files_under(root, path)
        else:
            yield path


def _make(options: SourceOptions) -> dict[str, Source]:
    if options.input is None:
        raise ValueError(f"--source folder needs --input FOLDER; {_EXPECTED}")
    sources: dict[str, Source] = {"train": Folder(str(Path(options.input).absolute()))}
    if options.validation_input is not None:
        sources["validation"] = Folder(str(Path(options.validation_input).absolute()))
    return sources


def _default_name(options: SourceOptions) -> str:
    folder = Path(options.input or "").absolute()
    return folder.parent.name if folder.name == "train" else folder.name


KIND = SourceKind(
    make=_make,
    defaults={"input": None, "validation_input": None, "validation_fraction": 0.1},
    default_name=_default_name,
)
