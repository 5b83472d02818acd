"""The whole cascade on the embedded data set: `./run demo` prints and runs these commands.

Running it again goes on where it stopped: every command skips or resumes what it finished.
"""

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# {out} is the folder of the demonstration.
STEPS = (
    (
        "Draw the data set at both resolutions",
        "cdm-data-prep --source glyphs --out {out}/data --resolutions 16,32",
    ),
    (
        "Train the base stage, 16×16",
        "cdm-train-base --preset demo16_base --data {out}/data --run {out}/base16",
    ),
    (
        "Train the super-resolution stage, 16×16 → 32×32",
        "cdm-train-sr --preset demo16_32_sr --data {out}/data --run {out}/sr32",
    ),
    (
        "Sample from the cascade",
        "cdm-sample --base {out}/base16 --sr {out}/sr32 --augmentation truncated --s 50"
        " --num 300 --out {out}/samples",
    ),
    (
        "Score the samples",
        "cdm-evaluate --samples {out}/samples --data {out}/data"
        " --run {out}/base16 --run {out}/sr32 --out {out}/report",
    ),
)
REPORT = "{out}/report/report.html"

# What --quick adds to a command: a later option overrides an earlier one. It checks that all parts
# work together; its samples are noise.
QUICK = {
    "cdm-data-prep": "--num 1000 --num-validation 200",
    "cdm-train-base": "--set train.steps=20",
    "cdm-train-sr": "--set train.steps=20",
    "cdm-sample": "--num 20",
    "cdm-evaluate": "--classifier-epochs 1",
}


def commands(out: str, quick: bool) -> list[tuple[str, list[str]]]:
    """The steps: what each is for, and its command line as words."""
    steps = []
    for title, line in STEPS:
        words = [word.format(out=out) for word in shlex.split(line)]
        steps.append((title, words + (shlex.split(QUICK.get(words[0], "")) if quick else [])))
    return steps


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the steps up to the first that fails; the exit code is that of the failed step."""
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="folder to write to [runs/demo; runs/demo-quick if --quick]")
    parser.add_argument("--quick", action="store_true", help="minutes less, to check the plumbing")
    options = parser.parse_args(arguments)
    out = options.out or ("runs/demo-quick" if options.quick else "runs/demo")

    steps = commands(out, options.quick)
    started = time.monotonic()
    for number, (title, words) in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {title}\n$ {shlex.join(words)}", flush=True)
        start = time.monotonic()
        code = run(words)
        print(f"  took {duration(time.monotonic() - start)}", flush=True)
        if code != 0:
            print(
                f"\ndemo: step {number} of {len(steps)} ended with exit code {code}; its message is"
                " above.\nThe same ./run demo goes on from here: finished steps are not repeated.",
                file=sys.stderr,
            )
            return code
    report = Path(REPORT.format(out=out)).resolve()
    if not report.is_file():
        print(f"\ndemo: every step succeeded, but there is no {report}", file=sys.stderr)
        return 1
    print(f"\nAll steps in {duration(time.monotonic() - started)}. Open the report in a browser:")
    print(report)
    return 0


def run(words: Sequence[str]) -> int:
    """Runs a command as a shell would; its exit code, 128 + the signal's number if killed."""
    # The commands stand beside the Python that runs this; a PATH of the user's need not name them.
    program = shutil.which(words[0], path=str(Path(sys.executable).parent)) or words[0]
    try:
        code = subprocess.run([program, *words[1:]], check=False).returncode
    except FileNotFoundError:
        print(f"demo: there is no command {words[0]}; run ./run setup", file=sys.stderr)
        return 127
    return code if code >= 0 else 128 - code


def duration(seconds: float) -> str:
    """Seconds as a person says them: `42 s`, `3 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    # A command that is interrupted saves first and then ends with its own exit code: wait for that.
    # A handler (unlike SIG_IGN) is not passed on to the commands.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    sys.exit(main())
