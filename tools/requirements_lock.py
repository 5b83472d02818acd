"""Compiles the lock, and tells without a network whether it is current. Standard library only."""

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import environment

PYPROJECT = environment.ROOT / "pyproject.toml"
PREFIX = "# requirements-digest: sha256:"
# No download addresses: the lock must not say where its packages come from, so that it can be
# installed from any index, and hashes make sure that they are the same files.
COMPILE = (
    "pip",
    "compile",
    "--quiet",
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--python-version=3.11",
    "--custom-compile-command=./run lock",
)


def digest(pyproject: str) -> str:
    """SHA-256 of what the lock is compiled from: the supported Pythons and the ranges."""
    project = tomllib.loads(pyproject)["project"]
    names = ("requires-python", "dependencies", "optional-dependencies")
    relevant = {name: project[name] for name in names}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def problems(pyproject: str, lock: str, uv_requirement: str) -> list[str]:
    """What is out of date, one sentence each; empty if the lock is current. Takes the texts."""
    found = []
    if f"{PREFIX}{digest(pyproject)}" not in lock.splitlines():
        found.append("requirements.lock was compiled from other ranges than pyproject.toml has")
    pin = uv_pin(pyproject)
    if not any(line.split()[:1] == [pin] for line in uv_requirement.splitlines()):
        found.append(f"uv.txt does not pin {pin}, as pyproject.toml does")
    return found


def uv_pin(pyproject: str) -> str:
    """The requirement that pins uv, e.g. `uv==0.13.9`."""
    (pin,) = tomllib.loads(pyproject)["project"]["optional-dependencies"]["setup"]
    return str(pin)


def is_current() -> bool:
    """Whether the lock agrees with pyproject.toml; says what does not."""
    texts = (path.read_text() for path in (PYPROJECT, environment.LOCK, environment.UV_REQUIREMENT))
    found = problems(*texts)
    for problem in found:
        print(f"{problem}; run ./run lock")
    return not found


def compile_lock(arguments: Sequence[str]) -> None:
    """Compiles both files again; versions in them stay unless `--upgrade` is among the arguments.

    Raises:
        SetUpError: uv found no versions that go together; its own message says which.
    """
    pyproject = PYPROJECT.read_text()
    inputs = [str(PYPROJECT), "--extra=dev"]
    body = _compile(environment.LOCK, inputs, arguments)
    environment.LOCK.write_text(f"{PREFIX}{digest(pyproject)}\n{body}")
    environment.UV_REQUIREMENT.write_text(
        _compile(environment.UV_REQUIREMENT, ["-"], arguments, stdin=uv_pin(pyproject))
    )
    print("Wrote 3rdparty/python/requirements.lock and uv.txt; ./run setup installs from them.")


def _compile(
    output: Path, inputs: Sequence[str], arguments: Sequence[str], stdin: str | None = None
) -> str:
    """The text of a compiled file; `output` as it stands says which versions to keep."""
    variables = environment.uv_environment()
    # One index for everything: a lock is shared, the extra sources of this machine are not.
    for name in ("UV_INDEX", "UV_INDEX_STRATEGY", "UV_FIND_LINKS"):
        variables.pop(name, None)
    work = environment.ROOT / ".tools" / output.name
    work.write_text(output.read_text() if output.exists() else "")
    command = [str(environment.find_uv()), *COMPILE, *inputs, f"--output-file={work}", *arguments]
    # In the root: paths in the comments ("via") are then the same on every machine.
    result = subprocess.run(
        command, cwd=environment.ROOT, env=variables, input=stdin, text=True, check=False
    )
    if result.returncode != 0:
        raise environment.SetUpError(f"could not compile {output.name}; the message above says why")
    text = work.read_text()
    work.unlink()
    return text
