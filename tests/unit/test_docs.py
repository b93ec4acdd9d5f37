"""What the documentation says is there: links, commands, settings, make targets, messages."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from pydantic import AliasChoices

from fruits_assets.commands.cli import main
from fruits_assets.definitions import build_definitions
from fruits_assets.settings import Settings, read_settings
from spark_steps.photos.names import PHOTO_EXTENSIONS
from tests.support.project import PROJECT

PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    PROJECT / "CHANGELOG.md",
]
# The source without its quotes and line breaks, so that a message is found that is written over several lines.
SOURCE = re.sub(
    r'"\s*\n\s*f?"',
    "",
    "\n".join(path.read_text() for room in ("spark_steps", "fruits_assets") for path in (PROJECT / room).rglob("*.py")),
)


def blocks_of(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    joined = "\n".join(blocks_of(page, "sh")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_the_documentation_has_pages_to_look_at() -> None:
    assert len(PAGES) > 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_fruits_command_takes_the_options_it_is_shown_with(page: Path) -> None:
    context = click.Context(main)
    for line in shell_lines(page):
        words = shlex.split(line, comments=True)
        if not words or words[0] != "fruits":
            continue
        if words[1].startswith("-"):
            continue
        command = main.get_command(context, words[1])
        assert command is not None, line
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
        used = {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
        assert used <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    rules = re.findall(r"^([\w -]+):(?!=)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    targets = [target for rule in rules for target in rule.split()]
    shown = [shlex.split(line, comments=True) for line in shell_lines(page)]
    asked = {words[1] for words in shown if len(words) > 1 and words[0] == "make"}
    assert asked <= set(targets)


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    documented = set(re.findall(r"^\| `(FRUITS_\w+)`", (PROJECT / "docs" / "running.md").read_text(), re.MULTILINE))
    settings = {f"FRUITS_{name.upper()}" for name in Settings.model_fields}
    assert documented == settings
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    former = {str(name) for one in aliases if isinstance(one, AliasChoices) for name in one.choices}
    assert set(re.findall(r"\bFRUITS_[A-Z_]*[A-Z]\b", text)) <= settings | former


def test_every_message_of_the_troubleshooting_page_is_one_that_the_code_gives() -> None:
    page = (PROJECT / "docs" / "troubleshooting.md").read_text()
    by_section = page.split("\n## ")
    quoted = [
        message
        for section in by_section
        if not section.startswith("The UI")
        for message in re.findall(r"^\*\*(.+?)\*\* —", section, re.MULTILINE)
        if message != "Photos with an error"
    ]
    assert len(quoted) > 20
    for message in quoted:
        # Where the page has an ellipsis the code has a value.
        fragments = [part.strip() for part in message.split("...")]
        for fragment in filter(None, fragments):
            assert fragment in SOURCE, message


def test_every_test_that_a_page_names_exists() -> None:
    tests = "".join(file.read_text() for file in (PROJECT / "tests").rglob("test_*.py"))
    named = {name for page in PAGES for name in re.findall(r"`(test_[a-z0-9_]+)`", page.read_text())}
    assert len(named) > 30
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_code_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`((?:spark_steps|fruits_assets|tests|benchmarks|infra|notebooks)/[\w./-]*)`", page.read_text())
    assert [name for name in named if not (PROJECT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_snippet_is_python(page: Path) -> None:
    for snippet in blocks_of(page, "python"):
        ast.parse(snippet)


def configured(job: str, run_config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the configuration of each op that has any, as the job would run with it, defaults included."""
    ops = dg.validate_run_config(build_definitions(read_settings()).resolve_job_def(job), run_config)["ops"]
    return {name: op["config"] for name, op in ops.items() if op["config"]}


def test_every_run_configuration_to_paste_is_one_that_its_job_takes_and_no_field_is_missing() -> None:
    shown: dict[str, set[tuple[str, str]]] = {}
    for block in blocks_of(PROJECT / "docs" / "running.md", "yaml"):
        job = block.splitlines()[0].removeprefix("# ").removesuffix(".yaml")
        run_config = yaml.safe_load(block)
        taken = configured(job, run_config)
        for op, given in run_config["ops"].items():
            assert given["config"].items() <= taken[op].items(), job
            shown.setdefault(job, set()).update((op, field) for field in given["config"])
    assert shown.keys() >= {"extract_features", "fit_pca", "erase_photos"}
    for job, fields in shown.items():
        assert fields == {(op, field) for op, config in configured(job, {}).items() for field in config}, job


@pytest.mark.parametrize("job", ["sync_image_folders"])
def test_a_job_of_which_the_page_says_so_takes_no_configuration(job: str) -> None:
    assert configured(job, {}) == {}


def test_the_page_on_formats_names_every_ending_of_a_photo_and_no_other() -> None:
    first = (PROJECT / "docs" / "formats.md").read_text().split("\n\n")[1]
    assert tuple(re.findall(r"`\.([\w-]+)`", first)) == PHOTO_EXTENSIONS
