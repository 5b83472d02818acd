"""What the five command lines share. No JAX here: `--help` must answer at once."""

import errno
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{where}; free some and run the same command again"
    return f"{error.strerror or error}{where}"


def existing_folder(value: str | Path, what: str, hint: str) -> Path:
    """The folder as a Path; ValueError naming what was expected there, and a hint, if missing."""
    path = Path(value)
    if not path.exists():
        raise ValueError(f"{what} {path} does not exist; {hint}")
    if not path.is_dir():
        raise ValueError(f"{what} {path} is a file, expected a folder; {hint}")
    return path
