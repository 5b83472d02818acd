"""The documentation speaks of what is there."""

import ast
import re
from pathlib import Path

import pytest

from cdm.config import field_names

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "shared/src", *ROOT.glob("packages/*/src")]
# `cdm/losses.py: simple_loss, hybrid_term` or `cdm/stage.py: Stage.learned`
REFERENCE = re.compile(r"`(cdm\w*/[\w/]+\.py): ([\w., ]+)`")
SETTING = re.compile(r"`((?:model|diffusion|augment|optim|train|data)\.\w+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def names_in(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_paper_map_names_functions_that_exist():
    text = (ROOT / "docs/paper_map.md").read_text()
    references = REFERENCE.findall(text)
    assert len(references) > 30
    missing = []
    for path, names in references:
        file = next((s / path for s in SOURCES if (s / path).is_file()), None)
        known = names_in(file) if file else set()
        for name in (part.strip() for part in names.split(",")):
            if not set(name.split(".")) <= known:
                missing.append(f"{path}: {name}")
    assert not missing


def test_the_paper_map_names_settings_that_exist():
    settings = set(SETTING.findall((ROOT / "docs/paper_map.md").read_text()))
    assert settings <= set(field_names())


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    targets = [page.parent / target for target in LINK.findall(page.read_text())]
    assert [str(target) for target in targets if not target.exists()] == []
