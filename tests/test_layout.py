"""The rules of the monorepo: who may import whom, what is declared where, what no file may hold."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import import_rules

ROOT = Path(__file__).resolve().parent.parent

# The stages: folder under packages/, and what else of this repository it may import.
STAGES = {
    "data_prep": ["cdm"],
    "train_base": ["cdm"],
    "train_sr": ["cdm"],
    "sample": ["cdm"],
    "evaluate": ["cdm"],
}

# Inside cdm, lowest first: a layer imports itself and what stands above it in this table.
LAYERS = [
    ["config", "presets", "files"],
    ["schedules", "diffusion", "augment", "images", "grids", "nn", "mesh", "stage"],
    ["losses", "objective", "samplers", "sampling", "data"],
    ["training"],
    ["cli"],
]

# Libraries that only these modules may import.
FENCES = {
    "flax": [r"cdm\.nn(\..*)?"],
    "orbax": [r"cdm\.training\.checkpoint"],
    "click": [r"cdm\w*\.cli"],
    "apache_beam": [r"cdm_data_prep(\..*)?"],
}

# Slow to import (0.2 s to 20 s each): a command must answer --help without them.
HEAVY = [
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax",
    "apache_beam",
    "tensorflow",
    "tensorboard",
    "matplotlib",
    "scipy",
    "cv2",
]
LIGHT_MODULES = r"cdm\.(config|presets|files)(\..*)?|cdm\w*\.cli"

MAX_LINES = 400
LONGER_FILES: dict[str, str] = {}  # path: why it is one file all the same

# Nothing in the repository may say where packages are downloaded from.
DOWNLOAD_ADDRESSES = [
    r"registry = \"http",
    r"url = \"http\S+\.(whl|tar\.gz|zip)",
    r"^\s*--(extra-)?index-url",
    r"^\s*--find-links",
    r"@ https?://\S+\.(whl|tar\.gz|zip)",
]
NOT_OURS = {"__pycache__", "runs", "dist", "build", "node_modules"}


def project_modules() -> dict[str, import_rules.Module]:
    return import_rules.read_modules([ROOT / "shared/src", *sorted(ROOT.glob("packages/*/src"))])


def pyproject(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def packages() -> dict[str, Path]:
    """Import name of each member, and its folder."""
    return {"cdm": ROOT / "shared"} | {f"cdm_{s}": ROOT / "packages" / s for s in STAGES}


def names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def our_files() -> Iterator[Path]:
    """The files of the repository (git may be missing, so: all but what tools write)."""
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            hidden = path.name.startswith(".") and path.name not in (".ci", ".github", ".gitignore")
            if hidden or path.name in NOT_OURS:
                continue
            if path.is_dir():
                pending.append(path)
            else:
                yield path


def expect_none(problems: Iterable[str]) -> None:
    found = [problem.replace(f"{ROOT}/", "") for problem in problems]
    assert not found, "\n".join(["", *found])


def test_every_stage_stands_in_the_table():
    assert {p.parent.name for p in ROOT.glob("packages/*/pyproject.toml")} == set(STAGES)


def test_stages_import_the_library_and_never_each_other():
    allowed = {f"cdm_{stage}": others for stage, others in STAGES.items()} | {"cdm": []}
    expect_none(import_rules.crossings(project_modules(), allowed))


def test_layers_of_the_library():
    expect_none(import_rules.layer_breaks(project_modules(), "cdm", LAYERS))


def test_fenced_libraries():
    expect_none(import_rules.fence_breaks(project_modules(), FENCES))


def test_commands_and_settings_import_nothing_heavy():
    modules = project_modules()
    starts = [name for name in modules if re.fullmatch(LIGHT_MODULES, name)]
    expect_none(import_rules.heavy_imports(modules, starts, HEAVY))


def test_tensorflow_is_never_imported_with_a_module():
    modules = project_modules()
    expect_none(import_rules.heavy_imports(modules, modules, ["tensorflow"]))


def test_members_declare_what_they_import():
    declared = {
        name: names(pyproject(folder)["project"]["dependencies"])
        for name, folder in packages().items()
    }
    expect_none(import_rules.undeclared(project_modules(), declared))


@pytest.mark.parametrize("package", packages())
def test_ranges_stand_in_the_root_only(package: str):
    root = pyproject(ROOT)["project"]
    members = {pyproject(folder)["project"]["name"] for folder in packages().values()}
    requirements = pyproject(packages()[package])["project"]["dependencies"]
    assert names(requirements) - members <= names(root["dependencies"])
    assert [text for text in requirements if Requirement(text).specifier] == []


def test_one_version_and_one_range_of_pythons():
    projects = [pyproject(folder)["project"] for folder in (ROOT, *packages().values())]
    assert len({project["requires-python"] for project in projects}) == 1
    (version,) = {project["version"] for project in projects}
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\n" in citation
    assert f'__version__ = "{version}"' in (ROOT / "shared/src/cdm/__init__.py").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_folder_import_name_and_command_follow_one_rule(stage: str):
    folder, command = ROOT / "packages" / stage, f"cdm-{stage.replace('_', '-')}"
    project = pyproject(folder)["project"]
    assert project["name"] == f"cascaded-diffusion-{stage.replace('_', '-')}"
    assert project["scripts"] == {command: f"cdm_{stage}.cli:main"}
    assert [p.name for p in (folder / "src").iterdir() if p.is_dir()] == [f"cdm_{stage}"]

    targets = {
        call.func.id: {k.arg: k.value for k in call.keywords}
        for call in ast.walk(ast.parse((folder / "BUILD").read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    pex = targets["pex_binary"]
    assert ast.literal_eval(pex["name"]) == command
    assert ast.literal_eval(pex["entry_point"]) == f"cdm_{stage}.cli:main"


@pytest.mark.parametrize("stage", STAGES)
def test_help_answers_without_loading_anything_heavy(stage: str):
    command = Path(sys.executable).parent / f"cdm-{stage.replace('_', '-')}"
    assert command.is_file()
    program = (
        f"import sys\nfrom cdm_{stage}.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print('loaded:', *sorted(set({HEAVY}) & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout
    assert result.stdout.splitlines()[-1].strip() == "loaded:"


def test_files_do_one_thing():
    sources = [path for path in our_files() if path.suffix in (".py", ".sh")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources}
    too_long = {path: lines for path, lines in lengths.items() if lines > MAX_LINES}
    expect_none(f"{path} has {too_long[path]} lines" for path in too_long.keys() - LONGER_FILES)
    expect_none(f"{path} is no longer long" for path in LONGER_FILES.keys() - too_long.keys())


def test_no_download_addresses():
    found = []
    for path in our_files():
        if path.suffix in (".md", ".py", ".toml", ".lock", ".txt", ".yml", ".cff", ".sh"):
            lines = enumerate(path.read_text().splitlines(), 1)
            found += [
                f"{path.relative_to(ROOT)}:{number}: {line}"
                for number, line in lines
                if any(re.search(pattern, line) for pattern in DOWNLOAD_ADDRESSES)
            ]
    expect_none(found)


# The checkers themselves, on a small tree with one mistake in each place.


@pytest.fixture
def wrong_tree(tmp_path: Path) -> dict[str, import_rules.Module]:
    files = {
        "cdm/__init__.py": "",
        "cdm/config.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax\n",
        "cdm/losses.py": "import jax.numpy as jnp\nfrom . import training\n",
        "cdm/nn/__init__.py": "from flax import nnx\n",
        "cdm/training/__init__.py": "from cdm.nn import functional\nfrom flax import nnx\n",
        "cdm/orphan.py": "",
        "cdm_sample/__init__.py": "",
        "cdm_sample/cli.py": "from cdm_sample import run\n\ndef main():\n    import optax\n",
        "cdm_sample/run.py": "from cdm.losses import simple\n",
        "cdm_evaluate/__init__.py": "def late():\n    import cdm_sample.run, PIL.Image\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return import_rules.read_modules([tmp_path])


def test_checker_sees_a_stage_that_imports_another(wrong_tree):
    allowed = {"cdm": [], "cdm_sample": ["cdm"], "cdm_evaluate": ["cdm"]}
    (found,) = import_rules.crossings(wrong_tree, allowed)
    assert "cdm_evaluate/__init__.py:2: imports cdm_sample.run:" in found


def test_checker_sees_imports_that_go_up_and_modules_without_a_layer(wrong_tree):
    layers = [["config"], ["nn"], ["losses"], ["training"]]
    orphan, up = import_rules.layer_breaks(wrong_tree, "cdm", layers)
    assert "orphan is in no layer" in orphan
    assert "losses must not import training" in up


def test_checker_sees_a_fenced_library_outside(wrong_tree):
    (found,) = import_rules.fence_breaks(wrong_tree, {"flax": [r"cdm\.nn(\..*)?"]})
    assert "cdm/training/__init__.py:2: imports flax.nnx" in found


def test_checker_follows_imports_to_heavy_libraries(wrong_tree):
    found = list(import_rules.heavy_imports(wrong_tree, ["cdm_sample.cli", "cdm.config"], ["jax"]))
    # Not by cdm.config: that import is for the type checker only.
    assert len(found) == 1
    assert "jax is loaded by cdm_sample.cli -> cdm_sample.run -> cdm.losses" in found[0]
    # optax is imported inside of a function
    assert list(import_rules.heavy_imports(wrong_tree, ["cdm_sample.cli"], ["optax"])) == []


def test_checker_sees_what_is_not_declared(wrong_tree):
    declared = {"cdm": {"jax", "flax"}, "cdm_sample": {"optax"}, "cdm_evaluate": {"numpy"}}
    (found,) = import_rules.undeclared(wrong_tree, declared)
    assert found.endswith("imports PIL.Image: pillow is not declared there")
