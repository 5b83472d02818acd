"""What a person sees of a data set: tables, a histogram of its classes, a grid of its images."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich import box
from rich.console import Console
from rich.table import Table

from cdm.data import order
from cdm.data.dataset import DatasetInfo
from cdm.data.reader import open_split
from cdm.files import whole_file

MAX_CLASSES = 40  # longer histograms are cut
MIN_CELL = 96  # pixels; smaller images are shown enlarged
CAPTION = 14  # pixels
GAP = 6
BAR = 40  # characters


def summary_table(infos: list[DatasetInfo]) -> Table:
    """One row for each split and resolution."""
    table = Table(title=infos[0].name, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("split", no_wrap=True)
    for heading in ("pixels", "examples", "classes", "shards", "size", "dead", "upscaled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for info in infos:
        for size in info.resolutions:
            table.add_row(
                info.split,
                str(size),
                f"{info.num_examples:,}",
                f"{len(info.class_names)}" if info.class_names else "none",
                f"{len(info.shards[size]):,}",
                _bytes(sum(shard.bytes for shard in info.shards[size])),
                f"{info.counters['dead']:,}",
                f"{info.upscaled[size]:,}",
            )
    return table


def colour_table(infos: list[DatasetInfo]) -> Table:
    """Mean and standard deviation of the channels, of values 0…255."""
    table = Table(title="mean ± standard deviation of the values, 0…255", box=box.SIMPLE)
    for heading in ("split", "pixels", "red", "green", "blue"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for info in infos:
        for size in info.resolutions:
            channels = zip(info.channel_mean[size], info.channel_std[size], strict=True)
            figures = [f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in channels]
            table.add_row(info.split, str(size), *figures)
    return table


def class_histogram(info: DatasetInfo) -> Table:
    """The number of examples of each class, as bars."""
    table = Table(title=f"{info.name}, {info.split}: examples of each class", box=None)
    table.add_column("label", justify="right")
    table.add_column("class")
    table.add_column("examples", justify="right")
    table.add_column()
    most = max(info.examples_per_class)
    names = info.class_names or ("all",)
    for label, count in enumerate(info.examples_per_class[:MAX_CLASSES]):
        bar = "█" * round(BAR * count / most) if most else ""
        table.add_row(str(label), names[label], f"{count:,}", bar)
    if (more := info.num_classes - MAX_CLASSES) > 0:
        rest = info.examples_per_class[MAX_CLASSES:]
        table.add_row("…", f"{more} more", f"{min(rest):,}–{max(rest):,}", "")
    return table


def print_info(console: Console, infos: list[DatasetInfo]) -> None:
    """Prints all that the description says and a person wants to know."""
    console.print(summary_table(infos))
    console.print(colour_table(infos))
    for info in infos:
        console.print(class_histogram(info))
    first = infos[0]
    console.print(f"source: {first.source['kind']} {first.source['input'] or ''}".rstrip())
    console.print(f"crop: {first.crop}\nresize: {first.resize}\nseed: {first.seed}")
    console.print(", ".join(f"{name} {version}" for name, version in first.versions.items()))


def save_grid(path: Path, data: Path, info: DatasetInfo, images: int, seed: int) -> None:
    """Writes a PNG of random images of a split, each at every resolution side by side.

    The smaller ones are enlarged by repeating pixels, so that one sees what is stored.
    """
    sizes = info.resolutions
    rows = order.indices(seed, 0, min(images, info.num_examples), info.num_examples)
    with open_split(data, info.split, sizes) as split:
        pixels = {size: split.read(rows, size)[0] for size in sizes}
        labels = split.read(rows, sizes[0])[1]
    cell = max(MIN_CELL, *sizes)
    width, height = len(sizes) * cell + GAP, cell + CAPTION + GAP
    columns = max(1, round(np.sqrt(len(rows) * height / width)))
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, lines * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for position, label in enumerate(labels):
        left = GAP + position % columns * width
        top = GAP + position // columns * height
        caption = info.class_names[label] if info.class_names else f"{rows[position]}"
        draw.text((left, top), caption, fill="black")
        for column, size in enumerate(sizes):
            image = Image.fromarray(pixels[size][position])
            image = image.resize((cell, cell), Image.Resampling.NEAREST)
            sheet.paste(image, (left + column * cell, top + CAPTION))
    with whole_file(path) as file:
        sheet.save(file, "PNG")


def _bytes(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
