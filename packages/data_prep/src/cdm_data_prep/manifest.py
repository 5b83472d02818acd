"""The list of a split's images on disk: a worker gets a shard's number and loads its part of it."""

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdm.files import whole_file
from cdm_data_prep.sources import Item

MANIFEST_FILE = "manifest.jsonl"
_OFFSETS_FILE = "manifest.idx"


@dataclass(frozen=True)
class ManifestSlice:
    """The images of one shard, and a digest of their list."""

    items: list[Item]
    digest: str


def write_manifest(folder: Path, items: list[Item], shards: int) -> str:
    """Writes the images, one JSON list [id, label, location…] a line, and where each shard begins.

    Shards are equal runs of the list, to within one image. Returns the digest of the list, which
    does not depend on the number of shards.
    """
    bounds = [len(items) * shard // shards for shard in range(shards + 1)]
    digest = hashlib.sha256()
    offsets = [0]
    with whole_file(folder / MANIFEST_FILE) as file:
        for first, last in itertools.pairwise(bounds):
            text = "".join(
                json.dumps([item.id, item.label, *item.location]) + "\n"
                for item in items[first:last]
            ).encode()
            file.write(text)
            digest.update(text)
            offsets.append(offsets[-1] + len(text))
    with whole_file(folder / _OFFSETS_FILE) as file:
        file.write(np.array(offsets, "<u8").tobytes())
    return digest.hexdigest()


def read_slice(folder: Path, shard: int) -> ManifestSlice:
    """The images of one shard."""
    offsets = np.fromfile(folder / _OFFSETS_FILE, "<u8")
    start, end = int(offsets[shard]), int(offsets[shard + 1])
    with (folder / MANIFEST_FILE).open("rb") as file:
        file.seek(start)
        text = file.read(end - start)
    items = []
    for line in text.splitlines():
        identifier, label, *location = json.loads(line)
        items.append(Item(identifier, label, tuple(location)))
    return ManifestSlice(items, hashlib.sha256(text).hexdigest())
