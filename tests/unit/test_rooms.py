"""How the code is laid out: arrows between rooms run down, and nothing grows larger than can be seen at once."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

from click.testing import CliRunner
from importlinter.cli import lint_imports_command

from tests.support.project import PROJECT

MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION, MOST_FILES_OF_A_FOLDER = 400, 50, 15
FILES = [
    file
    for package in ("spark_steps", "fruits_assets", "tests", "benchmarks")
    for file in (PROJECT / package).rglob("*.py")
]


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def imported_by(source: str) -> set[str]:
    """Returns the modules that a source imports; ``from a.b import c`` may import ``a.b`` or ``a.b.c``."""
    found: set[str] = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def among_tests(modules: set[str]) -> list[str]:
    """Returns those of some modules that are tests, or fixtures of a folder of tests."""
    names = [module for module in sorted(modules) if module.startswith("tests.")]
    return [name for name in names if any(part.startswith(("test_", "conftest")) for part in name.split("."))]


def long_functions(source: str) -> dict[str, int]:
    """Returns the lines of each function that has more than it may."""
    functions = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions}
    return {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_FUNCTION}


def test_the_arrows_between_rooms_run_down() -> None:
    done = CliRunner().invoke(lint_imports_command, ["--config", str(PROJECT / "pyproject.toml"), "--no-cache"])
    assert done.exit_code == 0, done.output


def test_no_test_imports_another() -> None:
    found = {relative(file): among_tests(imported_by(file.read_text())) for file in FILES}
    assert {file: tests for file, tests in found.items() if tests} == {}


def test_a_test_that_is_imported_in_any_way_is_seen() -> None:
    for line in (
        "from tests.unit.test_a import b",
        "from tests.unit import test_a",
        "import tests.unit.test_a",
        "def f():\n    from tests.conftest import b",
    ):
        assert among_tests(imported_by(line)), line
    assert among_tests(imported_by("from tests.support import stack\nimport pytest")) == []


def test_no_unit_test_starts_spark_a_server_or_a_process() -> None:
    slow = {"boto3", "moto", "multiprocessing", "pexpect", "pyspark", "subprocess", "tensorflow"}
    fixtures = {"instance", "network", "network_file", "s3", "s3_endpoint", "settings", "spark"}
    for file in (PROJECT / "tests" / "unit").rglob("*.py"):
        source = file.read_text()
        imported = {module.partition(".")[0] for module in imported_by(source)}
        assert imported.isdisjoint(slow), relative(file)
        tests = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef)]
        taken = {argument.arg for test in tests if test.name.startswith("test_") for argument in test.args.args}
        assert taken.isdisjoint(fixtures), relative(file)


def test_no_file_is_longer_than_400_lines() -> None:
    lines = {relative(file): len(file.read_text().splitlines()) for file in FILES}
    assert len(lines) > 300
    assert {file: count for file, count in lines.items() if count > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    found = {relative(file): long_functions(file.read_text()) for file in FILES}
    assert {file: functions for file, functions in found.items() if functions} == {}


def test_a_function_of_51_lines_is_seen_wherever_it_stands() -> None:
    body = "        x = 1\n" * MOST_LINES_OF_A_FUNCTION
    assert long_functions(f"class A:\n    async def a(self):\n{body}") == {"a": MOST_LINES_OF_A_FUNCTION + 1}


def test_no_folder_has_more_than_15_files() -> None:
    files = Counter(relative(file.parent) for file in FILES)
    assert {folder: count for folder, count in files.items() if count > MOST_FILES_OF_A_FOLDER} == {}
