"""cdm-train-sr."""

from typing import Any

import click

from cdm.cli import reports_errors, run_training_command, training_options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@training_options(preset="demo16_32_sr", data="the stage's two resolutions")
@reports_errors
def main(**options: Any) -> None:
    """Trains a super-resolution stage of a cascade, with conditioning augmentation.

    The low-res inputs it learns from are the data set's own images of the lower resolution, the
    very pixels that the stage below is trained on; so all stages may be trained at the same time.

    \b
    Examples:
      cdm-train-sr --preset demo16_32_sr --data data --run runs/sr16_32
      cdm-train-sr --run runs/sr16_32 --set train.steps=2000

    The run's folder holds config.json, checkpoints, previews, metrics.jsonl and TensorBoard's
    files. Ctrl-C saves and stops; the same command goes on, with the same result as if it had never
    stopped. Settings are stored with the run: sampling needs nothing but its folder.
    """
    run_training_command("sr", "cdm_train_sr.task", **options)
