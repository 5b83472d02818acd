"""Reading .npz files from elsewhere: nothing in them is executed, damage is one clear error."""

import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name; their checksums are tested.

    Raises ValueError if the file is damaged, is no .npz, or holds objects instead of numbers, and
    OSError if it cannot be read.
    """
    # Opened here, because np.load leaves a damaged file open.
    with Path(path).open("rb") as file:
        try:
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array, expected an archive of them")
            return {name: stored[name] for name in stored.files}
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise ValueError(f"{path} is damaged or no .npz file ({error})") from error
