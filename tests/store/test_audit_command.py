"""The command ``fruits audit`` from end to end: it runs the job where that is due, and reports what the tables hold."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pyspark.sql import SparkSession

from fruits_assets.commands.cli import main
from fruits_assets.sample_photos import write_sample
from spark_steps.queries.audit_report import AuditReport
from spark_steps.store.store import Store
from tests.support.project import PROJECT
from tests.support.steps import write_store

NOTHING_NEW = "Nothing is new: the last audit is of the photos that have features, with these settings."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = shutil.copytree(empty_home, tmp_path_factory.mktemp("home") / "home")
        patch.setenv("DAGSTER_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def audited(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, network_file: Path, home: Path) -> Store:
    """A store of generated photos, with a copy under another label and one black photo, that was audited once."""
    root = tmp_path_factory.mktemp("audit")
    write_sample(root / "photos", photos_per_folder=4)
    shutil.copy(root / "photos" / "Lemon" / "000.jpg", root / "photos" / "Plum" / "copy.jpg")
    Image.new("RGB", (100, 100)).save(root / "photos" / "Banana" / "black.jpg")
    store = Store(str(root / "store"))
    write_store(spark, store, root / "photos", network_file)
    done = audit(store)
    assert done.exit_code == 0, done.output
    assert NOTHING_NEW not in done.stderr
    return store


def audit(store: Store, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["audit", "--store", store.root, *map(str, arguments)])


def document_of(store: Store, *arguments: object) -> dict[str, Any]:
    done = audit(store, "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_what_was_planted_is_reported_errors_first_and_the_exit_code_is_0(audited: Store) -> None:
    done = audit(audited)
    lines = done.stdout.splitlines()
    errors = next(line for line in lines if line.startswith("Errors"))
    assert "2 exact_copy" in errors
    assert "  Banana/black.jpg: " in done.stdout
    first = next(number for number, line in enumerate(lines) if line.startswith("exact_copy"))
    assert {line.partition(": ")[0] for line in lines[first + 1 : first + 3]} == {"  Lemon/000.jpg", "  Plum/copy.jpg"}
    assert not any(line.startswith("Problem     The split is not") for line in lines)
    assert done.exit_code == 0


def test_what_was_audited_is_not_audited_again_and_another_seed_is_another_audit(
    audited: Store, tmp_path: Path
) -> None:
    store = Store(str(shutil.copytree(audited.root, tmp_path / "store")))
    before = document_of(store)
    again = audit(store)
    assert NOTHING_NEW in again.stderr
    other = audit(store, "--seed", "7")
    assert (other.exit_code, NOTHING_NEW in other.stderr) == (0, False)
    assert document_of(store, "--seed", "7")["split"]["audits"] != before["split"]["audits"]


def test_an_audit_that_is_up_to_date_needs_neither_spark_nor_dagster(audited: Store, home: Path) -> None:
    command = (
        "import sys; from fruits_assets.commands.cli import main; main(standalone_mode=False); "
        "print(sorted(name for name in ('dagster', 'pyspark') if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "audit", "--store", audited.root],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [NOTHING_NEW, "[]"]


def test_all_files_are_written_where_they_are_asked_for_and_the_store_is_as_it_was(
    audited: Store, tmp_path: Path
) -> None:
    before = contents_of(audited)
    (tmp_path / "sheets").mkdir()
    arguments = ["--html", tmp_path / "page.html", "--card", tmp_path / "new" / "card.md"]
    done = audit(audited, *arguments, "--with-photos", tmp_path / "sheets")
    assert done.exit_code == 0, done.stderr
    page, sheet = (tmp_path / "page.html").read_text(), (tmp_path / "sheets" / "contact-sheet.html").read_text()
    assert "<img" not in page
    assert "data:image/jpeg;base64," in sheet
    for document in (page, sheet):
        ET.fromstring(document)  # noqa: S314
    assert stat.S_IMODE((tmp_path / "sheets" / "contact-sheet.html").stat().st_mode) == 0o600
    assert f"Contact sheet {tmp_path}/sheets/contact-sheet.html: it holds small copies of photos." in done.stderr
    card = (tmp_path / "new" / "card.md").read_text()
    paths = audited.photo_splits.arrow(["path"])["path"].to_pylist()
    assert len(paths) == 34
    assert not any(path in card for path in paths)
    assert f"| Source | {str(audited.images).replace('_', chr(92) + '_')} |" in card
    assert contents_of(audited) == before
    refused = audit(audited, *arguments)
    assert (refused.exit_code, "is there already" in refused.stderr) == (1, True)
    assert audit(audited, *arguments, "--force").exit_code == 0


def contents_of(store: Store) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in Path(store.root).rglob("*") if file.is_file()}


def test_the_report_has_the_drift_of_each_folder_and_the_measures(audited: Store) -> None:
    document = document_of(audited)
    assert len(document["drift"]) == 8
    relative = [one["drift"]["relative"] for one in document["drift"]]
    assert relative == sorted(relative, reverse=True)
    assert document["formats"] == {"JPEG": 34}
    assert document["split"]["photos"] == 34


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_findings_fail_the_command_only_if_that_is_asked_for(audited: Store, severity: str) -> None:
    done = audit(audited, "--fail-on", severity)
    assert done.exit_code == 1
    assert "There are findings: " in done.stderr
    assert "of severity error" in done.stderr
    assert "exact_copy" in done.stdout


def test_as_many_examples_are_named_as_are_asked_for(audited: Store) -> None:
    for most in (0, 1):
        assert {len(kind["examples"]) for kind in document_of(audited, "--examples", most)["kinds"]} == {most}


def names_in(kind: Any, before: str = "") -> Iterator[str]:
    """The names of all numbers and texts of a dataclass as JSON has them, those of a list with brackets."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        of, name = hints[field.name], f"{before}{field.name}"
        inner = next((one for one in (of, *get_args(of)) if is_dataclass(one)), None)
        if inner is None:
            yield name
        else:
            yield from names_in(inner, f"{name}[]." if str(of).startswith("list") else f"{name}.")


def test_the_json_document_has_the_fields_that_the_documentation_describes_and_no_others(audited: Store) -> None:
    page = (PROJECT / "docs" / "auditing.md").read_text().partition("## As JSON")[2]
    described = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert described == list(names_in(AuditReport))
    assert list(document_of(audited)) == [field.name for field in fields(AuditReport)]
