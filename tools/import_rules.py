"""Who imports whom, read from the source with `ast`: nothing is imported to find it out.

The rules themselves, as tables, stand in tests/test_layout.py.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Import names that differ from the name of the distribution in more than - and _.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "orbax": "orbax-checkpoint",
    "yaml": "pyyaml",
    "tensorflow": "tensorflow-cpu",
}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import: `target` is the dotted name as written, e.g. `jax.numpy` or `cdm.config`."""

    target: str
    line: int
    at_module_level: bool  # runs when the module is imported


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of the project, and its imports."""

    name: str  # e.g. `cdm.training.loop`
    path: Path
    imports: tuple[Import, ...]

    @property
    def package(self) -> str:
        """The top-level package, e.g. `cdm_sample`."""
        return self.name.partition(".")[0]


def read_modules(sources: Sequence[Path]) -> dict[str, Module]:
    """All modules under the source folders (`shared/src`, `packages/*/src`), by dotted name."""
    modules = {}
    for source in sources:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree = ast.parse(path.read_text(), filename=str(path))
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            modules[name] = Module(name=name, path=path, imports=tuple(imports(tree, package)))
    return modules


def imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """The imports of a parsed file; `package` resolves the relative ones."""
    for node, at_module_level in _walk(tree, True):
        for target in _targets(node, package):
            line = getattr(node, "lineno", 0)
            yield Import(target=target, line=line, at_module_level=at_module_level)


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, *([base] if base else [])])
        # Each name may be a module of its own (`from cdm import config`).
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def _walk(node: ast.AST, at_module_level: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, at_module_level
        yield from _walk(child, at_module_level and not _is_later(child))


def _is_later(node: ast.AST) -> bool:
    """Whether what is inside does not run when the module is imported."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def module_of(target: str, modules: Collection[str]) -> str | None:
    """The project module that a dotted name lies in (`cdm.config.StageConfig`: `cdm.config`)."""
    while target and target not in modules:
        target = target.rpartition(".")[0]
    return target or None


def crossings(
    modules: Mapping[str, Module], allowed: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Imports between packages of the project that `allowed` does not have."""
    for module, found, target in _inside(modules):
        package = modules[target].package
        if package not in {module.package, *allowed[module.package]}:
            yield f"{_place(module, found)}: {module.package} must not import {package}"


def layer_breaks(
    modules: Mapping[str, Module], package: str, layers: Sequence[Collection[str]]
) -> Iterator[str]:
    """Imports inside a package that go up; a layer may import itself and what comes before it."""
    level = {name: number for number, layer in enumerate(layers) for name in layer}
    for module in modules.values():
        part = _part(module.name)
        if module.package == package and part and part not in level:
            yield f"{module.path}: {part} is in no layer of {package}; put it in one"
    for module, found, target in _inside(modules):
        own, other = _part(module.name), _part(target)
        if module.package != package or modules[target].package != package:
            continue
        if own in level and other in level and level[other] > level[own]:
            yield f"{_place(module, found)}: {own} must not import {other}, a layer above it"


def fence_breaks(
    modules: Mapping[str, Module], fences: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Imports of a library outside its places; a place is a regular expression for module names."""
    for module in modules.values():
        for found in module.imports:
            library = found.target.partition(".")[0]
            places = fences.get(library)
            if places is not None and not any(re.fullmatch(p, module.name) for p in places):
                yield (
                    f"{_place(module, found)}: {library} belongs in {' or '.join(places) or 'none'}"
                )


def heavy_imports(
    modules: Mapping[str, Module], starts: Collection[str], heavy: Collection[str]
) -> Iterator[str]:
    """Libraries that importing a module of `starts` would load, through other modules too."""
    for start in sorted(starts):
        # As Python does, importing a.b.c runs a and a.b first.
        waiting, chain = [start], {start: start}
        while waiting:
            name = waiting.pop()
            for found in (i for i in modules[name].imports if i.at_module_level):
                library = found.target.partition(".")[0]
                if library in heavy:
                    yield f"{_place(modules[name], found)}: {library} is loaded by {chain[name]}"
                target = module_of(found.target, modules)
                for parent in _with_parents(target) if target else ():
                    if parent in modules and parent not in chain:
                        chain[parent] = f"{chain[name]} -> {parent}"
                        waiting.append(parent)


def undeclared(
    modules: Mapping[str, Module], declared: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Imports of distributions that the package's pyproject.toml does not name."""
    packages = {module.package for module in modules.values()}
    for module in modules.values():
        for found in module.imports:
            library = found.target.partition(".")[0]
            if library in packages or library in sys.stdlib_module_names:
                continue
            distribution = DISTRIBUTIONS.get(library, library.replace("_", "-").lower())
            if distribution not in declared[module.package]:
                yield f"{_place(module, found)}: {distribution} is not declared there"


def _inside(modules: Mapping[str, Module]) -> Iterator[tuple[Module, Import, str]]:
    """Every import of a project module by a project module."""
    for module in modules.values():
        for found in module.imports:
            target = module_of(found.target, modules)
            if target is not None:
                yield module, found, target


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _part(name: str) -> str:
    """The first level under the package: `training` for `cdm.training.loop`."""
    return name.partition(".")[2].partition(".")[0]


def _place(module: Module, found: Import) -> str:
    return f"{module.path}:{found.line}: imports {found.target}"
