"""Makes the clone's own environment, `.venv`, from the lock. Standard library only.

uv is installed under the clone by the Python that runs this (pip's `--target` needs neither the
venv module nor a writable system), makes `.venv`, and installs the lock with every hash checked.
"""

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "set-up.json"  # written last: its presence says that the set-up was finished
UV_FOLDER = ROOT / ".tools" / "uv"
UV_REQUIREMENT = ROOT / "3rdparty" / "python" / "uv.txt"
LOCK = ROOT / "3rdparty" / "python" / "requirements.lock"


Command = list[str | Path]


class SetUpError(Exception):
    """Something is missing on this machine, or a step of the set-up failed; says what to do."""


def members(root: Path = ROOT) -> list[Path]:
    """The folders of the members of the monorepo: `shared`, then the stages by name."""
    return [root / "shared", *sorted(p.parent for p in root.glob("packages/*/pyproject.toml"))]


def set_up() -> None:
    """Makes `.venv` agree with the lock and the members; does nothing if it does already.

    Raises:
        SetUpError: pip or a wheel is missing, or the package index cannot be reached.
    """
    wanted = fingerprint()
    if _is_ready(wanted):
        return
    with _one_at_a_time():
        if _is_ready(wanted):  # somebody else did it while we waited
            return
        start = time.monotonic()
        print(f"set-up: Python {sys.version.split()[0]} ({_base_python()})", flush=True)
        uv = find_uv()
        environment = uv_environment()
        finished = _stamp()
        STAMP.unlink(missing_ok=True)
        # An environment of another place or Python, or a half-made one, cannot be repaired; one
        # that was finished is updated, so that what a user added (a GPU build of JAX) stays.
        if finished.get("place") != wanted["place"] or not _runs(venv_python()):
            command: Command = [
                uv,
                "venv",
                "--clear",
                "--no-project",
                "--python",
                _base_python(),
                VENV,
            ]
            _step("an environment in .venv", command, environment)
        install: Command = [uv, "pip", "install", "--python", venv_python()]
        _step(
            "the packages of the lock (the first time downloads about 400 MB)",
            [*install, "--require-hashes", "--requirements", LOCK],
            environment,
            shows_progress=True,
        )
        editables = [part for member in members() for part in ("--editable", member)]
        _step(
            f"the {len(members())} members of this repository",
            [*install, "--no-deps", "--no-build-isolation", *editables],
            environment,
        )
        beside = STAMP.with_suffix(".tmp")
        beside.write_text(json.dumps(wanted, indent=2) + "\n")
        beside.replace(STAMP)
        print(f"set-up: done in {time.monotonic() - start:.0f} s\n", flush=True)


def fingerprint() -> dict[str, str]:
    """What a finished set-up depends on: its place and Python, and the packages it installs."""
    digest = hashlib.sha256()
    for path in (LOCK, *(member / "pyproject.toml" for member in members())):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    # Editable installs and scripts hold absolute paths: a clone that was moved is set up again.
    place = f"Python {sys.version_info.major}.{sys.version_info.minor} in {ROOT}"
    return {"place": place, "packages": digest.hexdigest()}


def venv_python() -> Path:
    """The interpreter of the clone's environment."""
    return VENV / "bin" / "python"


def find_uv() -> Path:
    """uv in the pinned version, installed under the clone by pip if it is not there yet.

    Raises:
        SetUpError: there is neither pip nor any uv on this machine.
    """
    uv = UV_FOLDER / "bin" / "uv"
    pinned = pinned_uv()
    if (UV_FOLDER / f"uv-{pinned}.dist-info").is_dir() and _runs(uv):
        return uv
    python = _base_python()
    if not _runs(python, "-m", "pip"):
        on_path = shutil.which("uv")
        if on_path is not None and _runs(on_path):
            print(f"set-up: {python} has no pip; using {on_path}", flush=True)
            return Path(on_path)
        raise SetUpError(
            f"{python} has no pip, which the set-up needs once, to install uv under this folder. "
            "Install pip (on Debian or Ubuntu: apt-get install python3-pip) or uv, or choose "
            "another Python: PYTHON=/path/to/python3 ./run setup"
        )
    partial = UV_FOLDER.with_name("uv.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-user"]
    target: Command = ["--target", partial, "--require-hashes", "--only-binary", ":all:"]
    command: Command = [*pip, *target, "--requirement", UV_REQUIREMENT]
    # Inside of the clone, its warning to root does not apply.
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    _step(f"uv {pinned} in .tools/uv", command, environment)
    shutil.rmtree(UV_FOLDER, ignore_errors=True)
    partial.rename(UV_FOLDER)
    return uv


def pinned_uv() -> str:
    """The version of uv that the repository pins."""
    for line in UV_REQUIREMENT.read_text().splitlines():
        if line.startswith("uv=="):
            return line.removeprefix("uv==").split()[0]
    raise SetUpError(f"{UV_REQUIREMENT} pins no uv; restore it or run ./run lock")


def uv_environment() -> dict[str, str]:
    """Environment variables for uv: the user's own, and what pip's configuration says of indexes.

    uv does not read pip's configuration, and behind a mirror that is where the way out is written.
    """
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    environment.pop("VIRTUAL_ENV", None)  # ours is named on the command line
    for name, value in indexes_of_pip(_pip_configuration()).items():
        environment.setdefault(name, value)
    return environment


def indexes_of_pip(configuration: str) -> dict[str, str]:
    """uv's variables for the output of `pip config list`, lines of `section.name='value'`.

    A variable of the environment goes before `[install]`, and that before `[global]`, as in pip.
    """
    settings: dict[str, str] = {}
    lines = [line.partition("=") for line in configuration.splitlines() if "=" in line]
    for prefix in ("global.", "install.", ":env:."):
        for key, _, value in lines:
            if key.startswith(prefix):
                settings[key.removeprefix(prefix)] = str(ast.literal_eval(value))
    variables: dict[str, str] = {}
    if "index-url" in settings:
        variables["UV_DEFAULT_INDEX"] = settings["index-url"]
    if "extra-index-url" in settings:
        variables["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
        # pip looks for a version in all indexes; uv would stop at the first that has the name.
        # Which file is taken does not hang on it: the lock holds the hashes.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if "find-links" in settings:
        variables["UV_FIND_LINKS"] = ",".join(settings["find-links"].split())
    if "trusted-host" in settings:
        variables["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if "cert" in settings:
        variables["SSL_CERT_FILE"] = settings["cert"]
    return variables


def _pip_configuration() -> str:
    command = [_base_python(), "-m", "pip", "config", "list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""  # no pip: nothing is configured


def _base_python() -> str:
    """The running Python; if it is that of `.venv`, the one `.venv` was made from."""
    executable = Path(sys.executable)
    return str(executable.resolve() if VENV in executable.parents else executable)


def _is_ready(wanted: Mapping[str, str]) -> bool:
    return _stamp() == wanted and _runs(venv_python())


def _stamp() -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except FileNotFoundError:
        return {}
    return stamp


def _runs(program: str | Path, *arguments: str) -> bool:
    """Whether the program is there and answers `--version`."""
    command = [str(program), *arguments, "--version"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _step(
    what: str,
    command: Command,
    environment: Mapping[str, str],
    shows_progress: bool = False,
) -> None:
    """Runs one command of the set-up and says how long it took.

    Raises:
        SetUpError: the command failed; its own message is on the terminal by then.
    """
    words = [str(word) for word in command]
    if not (shows_progress and sys.stderr.isatty()) and "--quiet" not in words:
        words.append("--quiet")
    print(f"set-up: {what} ...", end=" ", flush=True)
    start = time.monotonic()
    code = subprocess.run(words, env=dict(environment), check=False).returncode
    if code != 0:
        print("failed", flush=True)
        raise SetUpError(
            f"the set-up failed at {what} (exit code {code}); the message above says why. "
            "Run the same command again once that is mended."
        )
    print(f"{time.monotonic() - start:.1f} s", flush=True)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keeps two commands that are started together from setting up the same folder."""
    path = ROOT / ".tools" / "set-up.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another command is setting up; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
