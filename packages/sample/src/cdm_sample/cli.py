"""cdm-sample."""

from pathlib import Path

import click

from cdm.cli import reports_errors


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--base",
    metavar="RUN",
    help="The run folder of the base stage (or one checkpoint in it).",
)
@click.option(
    "--sr",
    metavar="RUN",
    multiple=True,
    help="The run folder of a super-resolution stage; once for each stage, in order.",
)
@click.option(
    "--augmentation",
    type=click.Choice(["truncated", "non-truncated"]),
    multiple=True,
    help="Gaussian conditioning augmentation of an SR stage: truncated stops the stage before at "
    "s, non-truncated runs it to the end and adds the noise of s. Once for all stages or once for "
    "each.  [default: truncated after a stage, non-truncated with --low-res]",
)
@click.option(
    "--s",
    "levels",
    type=click.IntRange(min=0),
    multiple=True,
    help="The truncation time s, a step of the process that makes the low-res input; 0 is clean. "
    "Once for all stages or once for each.  [default: T/8]",
)
@click.option(
    "--low-res",
    metavar="DIR",
    help="A data set made by cdm-data-prep: its real images are the first SR stage's input, "
    "instead of a base stage's samples.",
)
@click.option("--split", default="validation", show_default=True, help="Of --low-res.")
@click.option("--num", type=click.IntRange(min=1), default=100, show_default=True, help="Images.")
@click.option(
    "--classes",
    metavar="LIST",
    help="Classes to make in turn, by number or name: 0,3,7 or cat,dog.  [default: all]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    multiple=True,
    help="Sampling steps; once for all stages or once for each.  [default: as trained for]",
)
@click.option(
    "--sampler",
    default="ancestral",
    show_default=True,
    help="ancestral, or ddim (deterministic).",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images at a time; does not change them.",
)
@click.option("--png/--no-png", default=True, show_default=True, help="Single PNG files too.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The samples' folder.")
@reports_errors
def main(
    base: str | None,
    sr: tuple[str, ...],
    augmentation: tuple[str, ...],
    levels: tuple[int, ...],
    low_res: str | None,
    split: str,
    num: int,
    classes: str | None,
    seed: int,
    steps: tuple[int, ...],
    sampler: str,
    batch_size: int,
    png: bool,
    out: Path,
) -> None:
    """Samples images from a cascade: a base stage and any number of super-resolution stages.

    Everything about a stage is read from its run folder; nothing is set twice. Image i depends on
    the seed and i alone, not on --batch-size or on how many images are made.

    \b
    Examples:
      cdm-sample --base runs/base16 --sr runs/sr16_32 --num 500 --out samples
      cdm-sample --base runs/base16 --sr runs/sr16_32 --augmentation non-truncated --s 200 \\
                 --classes 3,8 --num 40 --seed 1 --out threes-and-eights
      cdm-sample --low-res data --sr runs/sr16_32 --s 0 --num 200 --out upsampled

    The folder gets samples.npz (images and labels, and the images of every stage), PNG files,
    grid.png with the stages side by side, and samples.json.
    """
    from cdm_sample.run import Request, run

    run(
        Request(
            base=base,
            sr=sr,
            augmentation=augmentation,
            levels=levels,
            low_res=low_res,
            split=split,
            num=num,
            classes=classes,
            seed=seed,
            steps=steps,
            sampler=sampler,
            batch_size=batch_size,
        ),
        out,
        png=png,
    )
