"""Inputs made by the tests: folders of pictures, and archives like ImageNet's."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def jpeg(seed: int, size: tuple[int, int] = (40, 48)) -> bytes:
    """A small picture, different for every seed; `size` is width and height."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize(size, Image.Resampling.BILINEAR).save(file, "JPEG")
    return file.getvalue()


def tar_bytes(members: dict[str, bytes], **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes, `cat` with 7 and `dog` with 5 pictures, one of these in a folder of its own."""
    root = tmp_path / "pictures"
    for label, (name, count) in enumerate({"cat": 7, "dog": 5}.items()):
        for number in range(count):
            path = root / name / ("more/" if number == 4 else "") / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(10 * label + number))
    (root / "cat" / ".hidden.jpg").write_bytes(b"")
    (root / ".git").mkdir()
    return root


@pytest.fixture
def write_imagenet(tmp_path: Path) -> Callable[..., Path]:
    """Makes an archive of archives: {wnid: number of pictures}."""

    def write(classes: dict[str, int], **options) -> Path:
        outer = {}
        for position, (wnid, count) in enumerate(classes.items()):
            inner = {f"{wnid}_{k}.JPEG": jpeg(100 * position + k) for k in range(count)}
            outer[f"{wnid}.tar"] = tar_bytes(inner, **options)
        path = tmp_path / "train.tar"
        path.write_bytes(tar_bytes(outer, **options))
        return path

    return write
