"""The commands of `./run`. Standard library only: it runs before anything is installed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import environment
import requirements_lock
from environment import ROOT, SetUpError

HELP = """\
usage: ./run COMMAND [ARGUMENTS]

  demo [--quick] [--out DIR]   the whole cascade on an embedded data set, end to end
  test [PYTEST ARGUMENTS]      the tests
  check                        format, lint, types, layout and lock: all that needs no training
  fix                          formats the code and mends what the linter can mend
  lock [--upgrade]             compiles the lock again, after a change of ranges in pyproject.toml
  setup                        only the set-up, which the others do by themselves

The first command sets up .venv and .tools in this folder; nothing outside of it is changed, except
the caches of pip and uv. PYTHON=/path/to/python3 chooses the Python (3.11, 3.12 or 3.13).
"""


def demo(arguments: Sequence[str]) -> int:
    """Runs the demonstration."""
    environment.set_up()
    return _hand_over([str(ROOT / "tools" / "demo.py"), *arguments])


def test(arguments: Sequence[str]) -> int:
    """Runs pytest."""
    environment.set_up()
    return _hand_over(["-m", "pytest", *arguments])


def check(arguments: Sequence[str]) -> int:
    """Runs every check, also after one that fails, and sums up."""
    _takes_nothing("check", arguments)
    environment.set_up()
    packages = [path.name for member in environment.members() for path in member.glob("src/*")]
    checks = {
        "format": ["-m", "ruff", "format", "--check", "."],
        "lint": ["-m", "ruff", "check", "."],
        "types": ["-m", "mypy", *(word for name in packages for word in ("-p", name))],
        "types of the tools": ["-m", "mypy", "tools"],
        "layout": ["-m", "pytest", "--quiet", "tests/test_layout.py"],
    }
    verdicts = []
    for name, command in checks.items():
        print(f"== {name}: python {' '.join(command)}", flush=True)
        start = time.monotonic()
        words = [str(environment.venv_python()), *command]
        passed = subprocess.run(words, env=_variables(), check=False).returncode == 0
        verdicts.append((name, passed, time.monotonic() - start))
    print("== lock: is it compiled from the ranges in pyproject.toml?", flush=True)
    verdicts.append(("lock", requirements_lock.is_current(), 0.0))
    print()
    for name, passed, seconds in verdicts:
        print(f"{'ok    ' if passed else 'FAILED'}  {name}  ({seconds:.1f} s)")
    return 0 if all(passed for _, passed, _ in verdicts) else 1


def fix(arguments: Sequence[str]) -> int:
    """Formats, and mends what ruff can mend; exits 1 if something is left to do by hand."""
    _takes_nothing("fix", arguments)
    environment.set_up()
    ruff = [str(environment.venv_python()), "-m", "ruff"]
    code = subprocess.run([*ruff, "check", "--fix", "."], check=False).returncode
    subprocess.run([*ruff, "format", "."], check=True)
    return code


def lock(arguments: Sequence[str]) -> int:
    """Compiles the lock; passes its arguments on to `uv pip compile`."""
    requirements_lock.compile_lock(arguments)
    return 0


def setup(arguments: Sequence[str]) -> int:
    """Sets up, and says so if there was nothing to do."""
    _takes_nothing("setup", arguments)
    environment.set_up()
    print("Set up. Next: ./run demo, ./run test; the commands are in .venv/bin.")
    return 0


def show_help(arguments: Sequence[str]) -> int:
    """Prints the help."""
    del arguments
    print(HELP, end="")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name; its exit code."""
    name, *rest = arguments or ["help"]
    if name not in COMMANDS:
        print(f"run: unknown command {name!r}\n\n{HELP}", end="", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    try:
        return COMMANDS[name](rest)
    except SetUpError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrun: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _takes_nothing(command: str, arguments: Sequence[str]) -> None:
    if arguments:
        raise SetUpError(f"{command} takes no arguments, got {' '.join(arguments)}")


def _hand_over(arguments: Sequence[str]) -> int:
    """Becomes the Python of `.venv`: signals such as Ctrl-C then reach it and nobody else."""
    sys.stdout.flush()
    python = str(environment.venv_python())
    os.execve(python, [python, *arguments], _variables())


def _variables() -> dict[str, str]:
    """The environment of a child: the clone's commands first, matplotlib's cache in the clone."""
    path = f"{environment.VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    fonts = os.environ.get("MPLCONFIGDIR", str(ROOT / ".cache" / "matplotlib"))
    return {**os.environ, "PATH": path, "MPLCONFIGDIR": fonts}


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": demo,
    "test": test,
    "check": check,
    "fix": fix,
    "lock": lock,
    "setup": setup,
    "help": show_help,
    "--help": show_help,
    "-h": show_help,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
