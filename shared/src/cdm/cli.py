"""What the five command lines share. No JAX here: `--help` must answer at once."""

import errno
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cdm import config as configs
from cdm import presets
from cdm.config import StageConfig

F = TypeVar("F", bound=Callable[..., Any])

EXIT_INTERRUPTED = 130  # what a shell reports for Ctrl-C


def reports_errors(function: F) -> F:
    """Turns the errors a user can cause into one message and a non-zero exit code.

    Libraries raise ValueError for bad input and OSError for trouble with files; anything else is a
    bug of ours and keeps its traceback.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(describe_os_error(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise SystemExit(EXIT_INTERRUPTED) from None

    return wrapper  # type: ignore[return-value]


def describe_os_error(error: OSError) -> str:
    """One sentence for a failed file operation, with what to do where that is known."""
    where = f" ({error.filename})" if error.filename else ""
    notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{where}; free some and run the same command again{notes}"
    return f"{error.strerror or error}{where}{notes}"


def existing_folder(value: str | Path, what: str, hint: str) -> Path:
    """The folder as a Path; ValueError naming what was expected there, and a hint, if missing."""
    path = Path(value)
    if not path.exists():
        raise ValueError(f"{what} {path} does not exist; {hint}")
    if not path.is_dir():
        raise ValueError(f"{what} {path} is a file, expected a folder; {hint}")
    return path


def training_options(preset: str, data: str) -> Callable[[F], F]:
    """The options of the training commands; `preset` and `data` are examples for the help."""
    options = [
        click.option(
            "--preset", metavar="NAME", help=f"A stage by name, e.g. {preset}; see --list-presets."
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            help="A JSON file of settings, e.g. a run's config.json; instead of --preset.",
        ),
        click.option(
            "--set",
            "assignments",
            metavar="SECTION.FIELD=VALUE",
            multiple=True,
            help="Changes one setting, e.g. train.batch_size=32; may be given often. "
            "--dry-run shows all settings.",
        ),
        click.option(
            "--data", metavar="DIR", help=f"A data set made by cdm-data-prep that holds {data}."
        ),
        click.option(
            "--run",
            type=click.Path(path_type=Path),
            help="The folder of this training. The same command again resumes; "
            "--run alone is enough for that.",
        ),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Shows the settings, parameters, FLOPs and memory, and trains nothing.",
        ),
        click.option("--list-presets", is_flag=True, help="Names all stages of this kind."),
    ]

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def run_training_command(
    kind: str,
    task_module: str,
    *,
    preset: str | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    data: str | None,
    run: Path | None,
    dry_run: bool,
    list_presets: bool,
) -> None:
    """What both training commands do with `training_options`.

    Args:
        kind: "base" or "sr". task_module: has `make_task`; imported only when training starts.
    """
    if list_presets:
        for name, entry in presets.PRESETS.items():
            if entry.stage.kind == kind:
                click.echo(f"{name:24} {entry.table}")
        return
    config = resolve_config(preset, config_file, assignments, data, run)
    check_kind(config, kind)
    if dry_run:
        from cdm.training.dry_run import describe

        click.echo(describe(config))
        return
    if run is None:
        raise ValueError("no --run folder given: say where the checkpoints are to go")

    from cdm.training.loop import train

    make_task = importlib.import_module(task_module).make_task
    train(make_task, config, run)


def resolve_config(
    preset: str | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    data: str | None,
    run: Path | None,
) -> StageConfig:
    """The settings that a training command's options amount to.

    They start from --preset, --config or, where neither is given, from the run that is resumed;
    --set changes single ones, --data the data set.
    """
    if preset is not None and config_file is not None:
        raise ValueError("--preset and --config were both given; expected one of them")
    saved = run / "config.json" if run is not None else None
    if preset is not None:
        config = presets.get(preset).stage
    elif config_file is not None:
        config = configs.load(config_file)
    elif saved is not None and saved.exists():
        config = configs.load(saved)
    else:
        raise ValueError(
            "nothing to train: give --preset NAME (see --list-presets), --config FILE, "
            "or the --run folder of a training to resume"
        )
    if data is not None:
        config = configs.override(config, [f"data.path={data}"])
    return configs.override(config, assignments)


def check_kind(config: StageConfig, kind: str) -> None:
    """Refuses a super-resolution stage for the base command, and the other way round."""
    if config.kind != kind:
        right = {"base": "cdm-train-base", "sr": "cdm-train-sr"}[config.kind]
        what = {"base": "a base stage", "sr": "a super-resolution stage"}[config.kind]
        raise ValueError(
            f"{config.name} is {what} (model.low_res = {config.model.low_res}); "
            f"train it with {right}"
        )
