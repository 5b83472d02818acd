"""The command `cdm-evaluate`. What computes is imported when needed: --help answers at once."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cdm.cli import reports_errors
from cdm_evaluate.classifier.config import PRESETS, preset, preset_for

if TYPE_CHECKING:
    from cdm_evaluate.evaluation import Evaluation

_EPILOG = """
\b
Example:
  cdm-evaluate --samples runs/demo/samples --data runs/demo/data \\
      --run runs/demo/base16 --run runs/demo/sr32 --out runs/demo/report

The features come from a small classifier, which is trained on the data at the samples' resolution
the first time and kept in DATA/classifiers/RESOLUTION/. Every number is named with its feature
network and the number of images, e.g. FD-train[glyphs-classifier]@1000, and stands beside the same
number of as many real images.
"""


@click.group(
    invoke_without_command=True,
    no_args_is_help=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--samples", metavar="DIR", help="Samples folder that cdm-sample made.")
@click.option("--data", metavar="DIR", help="Data set that the stages were trained on.")
@click.option(
    "--run",
    "runs",
    metavar="RUN",
    multiple=True,
    help="Training run whose curves go into the report; may be given several times.",
)
@click.option("--out", metavar="DIR", help="Folder for report.html and report.json.")
@click.option(
    "--batch-size",
    default=250,
    show_default=True,
    type=click.IntRange(min=1),
    help="Images that go through the feature network at a time.",
)
@click.option(
    "--classifier",
    "preset_name",
    metavar="PRESET",
    help=f"Settings of the classifier: {', '.join(PRESETS)}. "
    "Default: glyphs for the embedded glyphs, else photographs.",
)
@click.option(
    "--classifier-epochs",
    type=click.IntRange(min=1),
    help="Train the classifier for so many epochs instead of the preset's.",
)
@click.option(
    "--classifier-flip/--no-classifier-flip",
    default=None,
    help="Mirror images while training the classifier: for photographs, never for text or digits. "
    "Default: off.",
)
@click.pass_context
@reports_errors
def main(
    context: click.Context,
    samples: str | None,
    data: str | None,
    runs: tuple[str, ...],
    out: str | None,
    batch_size: int,
    preset_name: str | None,
    classifier_epochs: int | None,
    classifier_flip: bool | None,
) -> None:
    """Score samples against the data and write a report."""
    if context.invoked_subcommand is not None:
        return
    # Not `required`: a sub-command must not ask for them.
    if samples is None or data is None or out is None:
        raise click.UsageError("give --samples, --data and --out", context)

    from cdm.data.dataset import load_info
    from cdm_evaluate.evaluation import EvaluationSettings, evaluate
    from cdm_evaluate.report import write_report

    if preset_name is None:
        preset_name = preset_for(str(load_info(data, "train").source.get("kind")))
    config = preset(preset_name)
    if classifier_epochs is not None:
        config = dataclasses.replace(config, epochs=classifier_epochs)
    if classifier_flip is not None:
        config = dataclasses.replace(config, flip=classifier_flip)
    evaluation = evaluate(
        EvaluationSettings(
            samples=Path(samples),
            data=Path(data),
            runs=tuple(map(Path, runs)),
            classifier=config,
            batch_size=batch_size,
            command=shlex.join(["cdm-evaluate", *sys.argv[1:]]),
        ),
        say=lambda text: click.echo(text, err=True),
    )
    page = write_report(evaluation, out)
    _print(evaluation)
    click.echo(f"report: {page}")


def _print(evaluation: "Evaluation") -> None:
    """The figures as a table on the terminal, warnings below it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{evaluation.data_name}: samples and as many real images")
    table.add_column("figure", overflow="fold")
    table.add_column("samples", justify="right", no_wrap=True)
    table.add_column("real", justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for scored in evaluation.scored:
        baseline = scored.baseline.text
        if scored.baseline.n != scored.figure.n:
            baseline += f" @{scored.baseline.n}"
        # The name holds square brackets, which are markup unless escaped.
        name = scored.figure.name.replace("[", "\\[")
        table.add_row(name, scored.figure.text, baseline, scored.figure.better)
    real = {(e.low_res, e.resolution): e for e in evaluation.real_consistency}
    for entry in evaluation.consistency:
        floor = real.get((entry.low_res, entry.resolution))
        table.add_row(
            f"low-res difference {entry.low_res}→{entry.resolution} (0…255)",
            f"{entry.mean_abs_difference:.2f}",
            f"{floor.mean_abs_difference:.2f}" if floor else "",
            "lower",
        )
    Console().print(table)
    for scored in evaluation.scored:
        if scored.figure.warning:
            click.echo(f"warning: {scored.figure.name}: {scored.figure.warning}", err=True)
