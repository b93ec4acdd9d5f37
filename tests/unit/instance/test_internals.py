"""Names of Dagster that are not public: imported in one module, each with its reason, and there."""

import ast
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.project import PROJECT

INTERNALS = PROJECT / "fruits_assets" / "instance" / "internals.py"
# In two parts, so that this file is not one of those that are looked for.
CORE = "dagster" + "._core"
PACKAGES = ("fruits_assets", "spark_steps", "tests", "benchmarks")


def reasons() -> dict[str, str]:
    """Returns the table of reasons, without importing the module: it would fail for the first name that is gone."""
    tree = ast.parse(INTERNALS.read_text())
    known: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Constant):
                known[node.targets[0].id] = str(node.value.value)
            elif node.targets[0].id == "REASONS" and isinstance(node.value, ast.Dict):
                pairs = zip(node.value.keys, node.value.values, strict=True)
                return {ast.literal_eval(name): text_of(reason, known) for name, reason in pairs if name}
    raise AssertionError("there is no table of reasons")


def text_of(reason: ast.expr, known: dict[str, str]) -> str:
    return known[reason.id] if isinstance(reason, ast.Name) else str(ast.literal_eval(reason))


def imported() -> set[str]:
    imports = [node for node in ast.walk(ast.parse(INTERNALS.read_text())) if isinstance(node, ast.ImportFrom)]
    return {
        f"{one.module}.{name.name}" for one in imports if one.module for name in one.names if one.module != "typing"
    }


REASONS = reasons()


@pytest.mark.parametrize("name", sorted(REASONS))
def test_this_dagster_has_the_name(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        there = hasattr(import_module(module), attribute)
    except ImportError:
        there = False
    assert there, f"Dagster {version('dagster')} has no {name}. {REASONS[name]}"


def test_each_name_that_is_imported_has_a_reason_and_each_reason_a_name() -> None:
    of_modules = {name for name in REASONS if name.startswith(("dagster._cli.dev.", "dagster._daemon."))}
    assert {name for name in imported() if name.startswith("dagster._")} == set(REASONS) - of_modules
    assert all(len(reason) > 30 for reason in REASONS.values())


def test_the_version_that_the_names_were_checked_on_is_the_locked_one() -> None:
    assert f"Checked on Dagster {version('dagster')}," in INTERNALS.read_text()


def private_names_in(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
            found.append(f"{file}:{node.lineno}")
        if isinstance(node, ast.Import) and any(name.name.startswith("dagster._") for name in node.names):
            found.append(f"{file}:{node.lineno}")
        # What import_module, a patch of a test or dagster.yaml would be given.
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(CORE):
            found.append(f"{file}:{node.lineno}")
    return found


def test_no_other_module_imports_what_is_not_public() -> None:
    files = [file for package in PACKAGES for file in (PROJECT / package).rglob("*.py") if file != INTERNALS]
    assert len(files) > 200
    assert [place for file in files for place in private_names_in(file)] == []


def test_a_private_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text('import dagster._core.x\nfrom dagster._serdes import y\nz = "dagster._core.storage"\n')
    assert private_names_in(file) == [f"{file}:{line}" for line in (1, 2, 3)]
