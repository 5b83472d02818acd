"""The command cdm-data-prep: make, check and show data sets."""

import os
from pathlib import Path
from typing import Any

import click

from cdm.cli import reports_errors

EPILOG = """\b
Examples:
  The embedded data set, ready in seconds:
    cdm-data-prep --out data/glyphs
  A folder with one sub-folder for each class:
    cdm-data-prep --source folder --input pictures/train \\
      --validation-input pictures/test --resolutions 16,32 --out data/pictures
  ImageNet for a cascade up to 256x256, from the archive as it is distributed:
    cdm-data-prep --source imagenet --input ILSVRC2012_img_train.tar \\
      --resolutions 32,64,128,256 --out data/imagenet
  Read everything again and name what is damaged; look at it:
    cdm-data-prep verify data/imagenet
    cdm-data-prep info data/imagenet --grid images.png

Run the same command again after an interruption: finished shards are kept.
"""


class Resolutions(click.ParamType[tuple[int, ...]]):
    """Sizes in pixels, separated by commas."""

    name = "SIZES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The sizes, ascending."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            self.fail(f"'{value}': expected whole numbers like 16,32", param, ctx)


@click.group(
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the data set to make.")
@click.option(
    "--source",
    default="glyphs",
    show_default=True,
    help="Where images come from: glyphs, folder, imagenet.",
)
@click.option("--input", help="[folder, imagenet] Folder, or ILSVRC2012_img_train.tar.")
@click.option("--validation-input", help="[folder, imagenet] Input of the validation split.")
@click.option(
    "--validation-fraction",
    type=float,
    help="[folder, imagenet] Part of --input to hold out, chosen by a hash of the images' names, "
    "where there is no --validation-input.  [default: folder 0.1, imagenet 0]",
)
@click.option(
    "--resolutions",
    type=Resolutions(),
    default="16,32",
    show_default=True,
    help="Sizes to write, in pixels.",
)
@click.option("--name", help="Name of the data set, part of its file names.")
@click.option(
    "--num-classes",
    type=click.IntRange(1),
    help="Refuse input with another number of classes.  [default: imagenet 1000]",
)
@click.option("--num", type=click.IntRange(1), help="[glyphs] Training images.  [default: 10000]")
@click.option(
    "--num-validation",
    type=click.IntRange(0),
    help="[glyphs] Validation images.  [default: 2000]",
)
@click.option("--characters", help="[glyphs] digits or alphanumeric (0-9, A-Z).  [default: digits]")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the order on disk, and of the glyphs.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 99_999),
    help="Files per split and resolution.  [default: one for 1000 images, at most 1024]",
)
@click.option("--workers", type=click.IntRange(1), help="Threads.  [default: number of CPUs]")
@click.option(
    "--max-dead",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How many images may turn out unusable. With more, everything else is written and kept, "
    "but the data set does not count as complete.",
)
@click.pass_context
@reports_errors
def main(ctx: click.Context, **arguments: Any) -> None:
    """Makes a data set: aligned TFRecords at every resolution, by an Apache Beam pipeline.

    Images are cropped to their central square and averaged down by area. Options marked [glyphs],
    [folder] or [imagenet] belong to these sources.
    """
    if ctx.invoked_subcommand is not None:
        return
    if arguments["out"] is None:
        raise click.UsageError("give --out FOLDER for the data set to make", ctx)
    _prepare(**arguments)


@main.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@reports_errors
def verify_command(folder: Path) -> None:
    """Reads a whole data set again and names every fault.

    Checks lengths, checksums, indexes, the alignment of the resolutions, labels and counts. Ends
    with exit code 1 if there is a fault.
    """
    from cdm_data_prep.verify import verify

    faults = 0
    for fault in verify(folder):
        click.echo(fault)
        faults += 1
    if faults:
        raise click.ClickException(f"{folder} has {faults} fault{'s' * (faults > 1)}")
    click.echo(f"{folder}: no faults")


@main.command("info")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--grid",
    type=click.Path(path_type=Path),
    help="PNG to write: random images, each at every resolution side by side.",
)
@click.option(
    "--images", type=click.IntRange(1), default=24, show_default=True, help="Images in the grid."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of their choice."
)
@click.option("--split", help="Only this split; the grid otherwise shows train.")
@reports_errors
def info_command(
    folder: Path, grid: Path | None, images: int, seed: int, split: str | None
) -> None:
    """Shows a data set: its figures, a histogram of the classes and, with --grid, its images."""
    from rich.console import Console

    from cdm.data.dataset import load_info, splits
    from cdm_data_prep.show import print_info, save_grid

    names = [split] if split else splits(folder) or ["train"]
    infos = [load_info(folder, name) for name in names]
    print_info(Console(), infos)
    if grid is not None:
        save_grid(grid, folder, infos[0], images, seed)
        click.echo(f"wrote {grid}")


def _prepare(
    out: Path,
    source: str,
    name: str | None,
    shards: int | None,
    workers: int | None,
    max_dead: int,
    **options: Any,
) -> None:
    from rich.console import Console

    from cdm_data_prep.prepare import Preparation, prepare
    from cdm_data_prep.progress import shown_progress
    from cdm_data_prep.show import summary_table
    from cdm_data_prep.sources import SourceOptions

    wanted = Preparation(
        source=source,
        out=out,
        options=SourceOptions(**options),
        name=name,
        shards=shards,
        workers=workers or os.cpu_count() or 1,
        max_dead=max_dead,
    )
    infos, done = prepare(wanted, shown_progress)
    Console().print(summary_table(infos))
    click.echo(f"The data set is ready: {out}" if done else f"Nothing to do: {out} is complete.")
