"""The set-up, the lock and the demo's plumbing, without installing anything."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

import demo
import environment
import requirements_lock
import run

ROOT = Path(__file__).resolve().parent.parent

PYPROJECT = """
[project]
name = "x"
requires-python = ">=3.11"
dependencies = ["numpy>=2"]
[project.optional-dependencies]
setup = ["uv==1.2.3"]
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_tests_run_with_strict_jax():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones(2) + jnp.ones((2, 1))


# The front door


@pytest.fixture
def front_door(tmp_path: Path) -> Path:
    """A copy of ./run in a folder with spaces; its tools/run.py says which Python it got."""
    folder = tmp_path / "a clone"
    program(folder / "run", (ROOT / "run").read_text())
    program(folder / "tools/run.py", "import sys; print('got', sys.executable, sys.argv[1:])")
    return folder


def start(folder: Path, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": path, "HOME": str(folder), **variables}
    command = ["/bin/sh", str(folder / "run"), "two words"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_run_passes_by_a_python_that_fails(front_door: Path, tmp_path: Path):
    program(tmp_path / "shims/python3", "#!/bin/sh\necho 'python3: not found' >&2\nexit 127\n")
    program(tmp_path / "shims/python3.13", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    result = start(front_door, f"{tmp_path}/shims:/usr/bin:/bin")
    assert result.stdout == f"got {sys.executable} ['two words']\n"


def test_run_passes_by_a_python_that_is_too_old(front_door: Path, tmp_path: Path):
    program(tmp_path / "old/python3", "#!/bin/sh\necho 3.9\n")
    program(tmp_path / "old/python3.12", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    result = start(front_door, f"{tmp_path}/old:/usr/bin:/bin")
    assert result.stdout == f"got {sys.executable} ['two words']\n"


def test_run_says_what_is_wrong_with_the_python_it_was_told(front_door: Path, tmp_path: Path):
    old = program(tmp_path / "old/python3", "#!/bin/sh\necho 3.9\n")
    result = start(front_door, "/usr/bin:/bin", PYTHON=str(old))
    assert result.returncode == 1
    assert f"PYTHON={old} is not a working Python" in result.stderr
    assert f"{old} is Python 3.9" in result.stderr


def test_unknown_command_lists_the_known(capsys: pytest.CaptureFixture[str]):
    assert run.main(["tests"]) == 2
    error = capsys.readouterr().err
    assert "unknown command 'tests'" in error
    assert "  test [PYTEST ARGUMENTS]" in error


def test_help_names_every_command():
    for name in run.COMMANDS:
        assert name.startswith("-") or name == "help" or f"\n  {name}" in run.HELP


# Package indexes


def test_indexes_of_pip_become_those_of_uv():
    configuration = "\n".join(
        (
            "global.cert='/etc/certificate.pem'",
            "global.index-url='file:///global'",
            "global.extra-index-url='\\nfile:///one\\nfile:///two'",
            "install.trusted-host='mirror.example'",
            ":env:.index-url='file:///simple?a=b'",
        )
    )
    assert environment.indexes_of_pip(configuration) == {
        "UV_DEFAULT_INDEX": "file:///simple?a=b",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "mirror.example",
        "SSL_CERT_FILE": "/etc/certificate.pem",
    }


def test_without_a_configuration_uv_is_left_alone():
    assert environment.indexes_of_pip("") == {}


def test_what_the_user_set_for_uv_goes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_INDEX_URL", "file:///of-pip")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "file:///of-uv")
    monkeypatch.setattr(
        environment, "_pip_configuration", lambda: ":env:.index-url='file:///of-pip'"
    )
    assert environment.uv_environment()["UV_DEFAULT_INDEX"] == "file:///of-uv"
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    assert environment.uv_environment()["UV_DEFAULT_INDEX"] == "file:///of-pip"


# When a set-up is current


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty clone that `environment` takes for its own."""
    program(tmp_path / "shared/pyproject.toml", "[project]\n")
    program(tmp_path / "packages/sample/pyproject.toml", "[project]\n")
    lock = program(tmp_path / "3rdparty/python/requirements.lock", "numpy==2.0\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "LOCK", lock)
    members = [tmp_path / "shared", tmp_path / "packages/sample"]
    monkeypatch.setattr(environment, "members", lambda: members)
    return tmp_path


def test_fingerprint_follows_the_lock_and_the_members(clone: Path):
    before = environment.fingerprint()
    assert environment.fingerprint() == before
    seen = {before["packages"]}
    for path in (environment.LOCK, *(p / "pyproject.toml" for p in environment.members())):
        path.write_text(path.read_text() + "# changed\n")
        seen.add(environment.fingerprint()["packages"])
    assert len(seen) == 4
    assert str(clone) in before["place"]


def test_members_are_the_shared_library_and_every_package():
    assert [str(path.relative_to(ROOT)) for path in environment.members()] == [
        "shared",
        "packages/data_prep",
        "packages/evaluate",
        "packages/sample",
        "packages/train_base",
        "packages/train_sr",
    ]


def test_without_pip_and_uv_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "_runs", lambda program, *arguments: False)
    with pytest.raises(environment.SetUpError, match=r"has no pip.*apt-get install python3-pip"):
        environment.find_uv()


# The lock


def lock_of(pyproject: str) -> str:
    return f"{requirements_lock.PREFIX}{requirements_lock.digest(pyproject)}\nnumpy==2.0\n"


def test_lock_is_out_of_date_when_a_range_changes():
    lock = lock_of(PYPROJECT)
    assert requirements_lock.problems(PYPROJECT, lock, "uv==1.2.3 \\\n") == []
    # What says nothing about packages does not make the lock old.
    renamed = PYPROJECT.replace('name = "x"', 'name = "y"')
    assert requirements_lock.problems(renamed, lock, "uv==1.2.3 \\\n") == []
    changed = PYPROJECT.replace("numpy>=2", "numpy>=2.1")
    (problem,) = requirements_lock.problems(changed, lock, "uv==1.2.3 \\\n")
    assert "other ranges" in problem


def test_lock_is_out_of_date_when_uv_changes():
    (problem,) = requirements_lock.problems(PYPROJECT, lock_of(PYPROJECT), "uv==1.2.30 \\\n")
    assert "uv.txt does not pin uv==1.2.3," in problem


def test_the_locks_of_this_repository_install_with_hashes_from_any_index():
    for path in (environment.LOCK, environment.UV_REQUIREMENT):
        text = path.read_text()
        assert "://" not in text
        entries = [part for part in re.split(r"\n(?=\w)", text) if re.match(r"[\w.-]+==", part)]
        assert entries
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


# The demo


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the five commands; each notes its arguments, the last writes the report."""
    folder = tmp_path / "bin"
    for title, words in demo.commands("out", quick=False):
        assert title
        program(folder / words[0], f'#!/bin/sh\necho "{words[0]} $*" >> log\n')
    with (folder / "cdm-evaluate").open("a") as file:
        file.write("mkdir -p out/report && touch out/report/report.html\n")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.chdir(tmp_path)
    return folder


def test_demo_prints_and_runs_the_five_commands(commands: Path, capsys: pytest.CaptureFixture[str]):
    assert demo.main(["--out", "out"]) == 0
    ran = Path("log").read_text().splitlines()
    printed = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("$ ") for line in printed if line.startswith("$ ")] == ran
    assert [line.split()[0] for line in ran] == [line.split()[0] for _, line in demo.STEPS]
    assert printed[-1] == str(Path("out/report/report.html").resolve())


def test_demo_stops_at_the_first_failure(commands: Path, capsys: pytest.CaptureFixture[str]):
    program(commands / "cdm-train-sr", "#!/bin/sh\nexit 3\n")
    assert demo.main(["--out", "out"]) == 3
    assert "step 3 of 5 ended with exit code 3" in capsys.readouterr().err
    assert [line.split()[0] for line in Path("log").read_text().splitlines()] == [
        "cdm-data-prep",
        "cdm-train-base",
    ]


def test_demo_says_when_there_is_no_report(commands: Path, capsys: pytest.CaptureFixture[str]):
    program(commands / "cdm-evaluate", "#!/bin/sh\nexit 0\n")
    assert demo.main(["--out", "out"]) == 1
    assert "there is no" in capsys.readouterr().err


def test_demo_keeps_a_folder_with_spaces_together():
    for _, words in demo.commands("my runs", quick=True):
        assert any(word.startswith("my runs/") for word in words)
    _, words = demo.commands("out", quick=True)[1]
    assert words[-2:] == ["--set", "train.steps=20"]


def test_duration_reads_as_a_person_says_it():
    assert [demo.duration(s) for s in (0.4, 59.4, 60, 185)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "3 min 5 s",
    ]
