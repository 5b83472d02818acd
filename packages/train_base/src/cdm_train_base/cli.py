"""cdm-train-base."""

from typing import Any

import click

from cdm.cli import reports_errors, run_training_command, training_options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@training_options(preset="demo16_base", data="the stage's resolution")
@reports_errors
def main(**options: Any) -> None:
    """Trains a base stage: a class-conditional diffusion model of small images.

    \b
    Examples:
      cdm-data-prep --source glyphs --resolutions 16,32 --out data
      cdm-train-base --preset demo16_base --data data --run runs/base16
      cdm-train-base --preset cifar10_16_base --data data --run runs/b --set train.batch_size=32

    The run's folder holds config.json, checkpoints, previews, metrics.jsonl and TensorBoard's
    files. Ctrl-C saves and stops; the same command goes on, with the same result as if it had never
    stopped. Settings are stored with the run: sampling needs nothing but its folder.
    """
    run_training_command("base", "cdm_train_base.task", **options)
