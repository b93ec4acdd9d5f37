"""What is learnt from a store: by the snippets of docs/training.md, and by the notebook."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pyarrow as pa
import pytest
from nbclient import NotebookClient
from pyspark.sql import SparkSession

from fruits_assets.sample_photos import write_sample
from spark_steps.store.store import Store
from tests.support.project import PROJECT
from tests.support.small_store import replace_rows
from tests.support.steps import write_store
from tests.support.stores.split_store import write_splits

NOTEBOOK = PROJECT / "notebooks" / "explore.ipynb"
# What a cell at the end tells of those before.
TELL = """
of_page = {"labels": sorted(set(y)), "splits": list(splits), "asked": {name: len(one) for name, one in guessed.items()}}
print(json.dumps(of_page | {"suspicious": list(suspicious["path"]), "right": float((guess == truth).mean())}))
"""


@dataclass(frozen=True)
class Executed:
    """A notebook that was executed: the pictures, the tables and the text that it shows, and what it found."""

    pictures: int
    tables: str
    text: str
    kinds: set[str]
    found: dict[str, Any]


def execute(store: Path, monkeypatch: pytest.MonkeyPatch) -> Executed:
    monkeypatch.setenv("FRUITS_STORE", str(store))
    notebook = nbformat.reads(NOTEBOOK.read_text(), as_version=4)  # type: ignore[no-untyped-call]
    notebook.cells.append(nbformat.v4.new_code_cell(TELL))  # type: ignore[no-untyped-call]
    place = {"metadata": {"path": NOTEBOOK.parent}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output.data for output in outputs if "data" in output]
    text = [output.text for output in outputs if output.get("name") == "stdout"]
    return Executed(
        pictures=sum("image/png" in one for one in data),
        tables="\n".join(one["text/html"] for one in data if "text/html" in one),
        text="\n".join([*text[:-1], *(one["text/markdown"] for one in data if "text/markdown" in one)]),
        kinds={kind for one in data for kind in one},
        found=json.loads(text[-1]),
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated photos of eight labels, ten each."""
    photos = tmp_path_factory.mktemp("sample") / "photos"
    write_sample(photos, photos_per_folder=10)
    return photos


@pytest.fixture(scope="module")
def store(spark: SparkSession, sample: Path, network_file: Path) -> Path:
    write_store(spark, Store(str(sample.parent / "results")), sample, network_file)
    return sample.parent / "results"


def some_photos(sample: Path, images: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        (images / folder).mkdir(parents=True)
        for photo in sorted((sample / folder.rpartition("/")[2]).iterdir())[:count]:
            shutil.copy(photo, images / folder)
    return images


def snippets_of_the_page() -> list[str]:
    page = (PROJECT / "docs" / "training.md").read_text()
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def run_snippet(snippet: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_and_name(directory: Path, new: Path) -> list[str]:
    """Does what the page says, in a directory with a store called results; returns what each snippet prints."""
    shutil.copy(new, directory / "new.jpg")
    _, read, measure, train, name_it, name_them = snippets_of_the_page()
    told = [run_snippet("\n".join([read, measure, train]), directory), run_snippet(name_it, directory)]
    command = [sys.executable, "-m", "fruits_assets", "identify", "new.jpg", "--store", "results", "--json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=True)
    (directory / "new.json").write_text(done.stdout)
    return [*told, run_snippet(name_them, directory)]


@pytest.fixture(scope="module")
def told(store: Path, sample: Path) -> list[str]:
    """What the snippets of the page print of the sample, beside whose store the classifier is then."""
    return train_and_name(store.parent, sample / "Blueberry" / "003.jpg")


def test_the_page_trains_a_classifier_that_names_a_photo_and_both_ways_to_ask_it_agree(told: list[str]) -> None:
    score, name, named = told
    assert re.fullmatch(r"\d+\.\d% right, from \d+\.\d% to \d+\.\d%\n", score)
    assert re.fullmatch(r"Blueberry, \d+%\n", name)
    assert named == "new.jpg Blueberry\n"


def test_a_classifier_of_another_pca_model_is_refused(told: list[str], store: Path, tmp_path: Path) -> None:
    place = shutil.copytree(store.parent, tmp_path / "place")
    (model,) = (place / "results" / "PCA_Results" / "pca_model").glob("*/model.json")
    model.write_text(json.dumps({**json.loads(model.read_text()), "version": "another"}))
    with pytest.raises(AssertionError, match="train again"):
        run_snippet(snippets_of_the_page()[4], place)


def test_ten_lines_train_on_one_part_of_the_split_and_score_on_another(store: Path) -> None:
    # Of each label the photo 003 is for testing, and nothing is left to learn Lemon from.
    paths = Store(str(store)).reduced_features.arrow(["path"])["path"].to_pylist()
    parts = {path: "test" if "Lemon/" in path or path.endswith("/003.jpg") else "train" for path in paths}
    write_splits(Store(str(store)), parts)
    snippet = snippets_of_the_page()[0]
    assert len([line for line in snippet.splitlines() if line]) <= 10
    told = run_snippet(snippet, store.parent)
    assert re.fullmatch(r"\d+\.\d% of 17 photos right\n", told)
    # None of ten Lemons can be right.
    assert 0 < float(told.partition("%")[0]) <= round(100 * 7 / 17, 1)


def test_a_classifier_of_real_photos_is_right_on_blocks_it_has_not_seen_and_on_a_photo_left_out(
    spark: SparkSession, real_data: Path, real_network_file: Path, tmp_path: Path
) -> None:
    for label in ("Banana", "Kiwi", "Limes", "Walnut"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for photo in sorted((real_data / "fruits360" / label).iterdir())[::4]:
            shutil.copy(photo, tmp_path / "photos" / label)
    left_out = tmp_path / "left out.jpg"
    shutil.move(sorted((tmp_path / "photos" / "Kiwi").iterdir())[3], left_out)
    write_store(spark, Store(str(tmp_path / "results")), tmp_path / "photos", real_network_file)
    score, name, named = train_and_name(tmp_path, left_out)
    assert float(score.partition("%")[0]) > 95
    assert name.startswith("Kiwi, ")
    assert named == "new.jpg Kiwi\n"


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = nbformat.reads(NOTEBOOK.read_text(), as_version=4).cells  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_notebook_shows_the_numbers_of_a_store_and_no_photo_and_speaks_of_no_frames(
    store: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = execute(store, monkeypatch)
    assert done.pictures == 3
    assert "image/jpeg" not in done.kinds
    assert f"{sorted(one.name for one in sample.iterdir())[0]}/000.jpg\n" in done.text
    assert all(f"<th>{heading}</th>" in done.tables for heading in ("5 nearest", "recall", "taken for", "path"))
    assert done.found["asked"] == {"photos at random": 80}
    assert done.found["right"] > 0.5
    assert "frame" not in done.text
    prose = "".join(cell["source"] for cell in nbformat.read(NOTEBOOK, 4).cells if cell["cell_type"] == "markdown")  # type: ignore[no-untyped-call]
    assert "frame" not in prose


def test_the_notebook_finds_a_photo_in_the_wrong_folder_and_holds_out_whole_folders(
    spark: SparkSession, sample: Path, tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {f"{place}/{label}": 10 for place in ("kitchen", "market") for label in ("Blueberry", "Lemon")}
    images = some_photos(sample, tmp_path / "photos", places)
    # Not the same photos in both places, of which each would be the other's nearest.
    write_sample(tmp_path / "others", photos_per_folder=10, seed=1)
    for label in ("Blueberry", "Lemon"):
        shutil.copytree(tmp_path / "others" / label, images / "market" / label, dirs_exist_ok=True)
    wrong = images / "market" / "Lemon" / "wrong.jpg"
    write_sample(tmp_path / "new", photos_per_folder=1, seed=2)
    shutil.copy(tmp_path / "new" / "Blueberry" / "000.jpg", wrong)
    write_store(spark, Store(str(tmp_path / "store")), images, network_file)
    done = execute(tmp_path / "store", monkeypatch)
    assert done.found["suspicious"] == [str(wrong.relative_to(images))]
    assert done.found["asked"] == {"photos at random": 41, "whole folders": 41}


@pytest.mark.parametrize(
    ("counts", "asked"),
    [
        # Six photos to learn from where one of three Lemons is asked, and nothing to learn the only Plum from.
        ({"Banana": 6, "Lemon": 3, "Plum": 1}, 9),
        ({"Lemon": 6}, 0),
        ({"Lemon": 1, "Plum": 1}, 0),
    ],
    ids=["a label of one photo", "one label only", "two photos"],
)
def test_the_notebook_runs_on_a_small_store_and_says_what_cannot_be_measured(
    counts: dict[str, int],
    asked: int,
    spark: SparkSession,
    sample: Path,
    tmp_path: Path,
    network_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = some_photos(sample, tmp_path / "photos", counts)
    write_store(spark, Store(str(tmp_path / "store")), images, network_file)
    done = execute(tmp_path / "store", monkeypatch)
    assert done.found["labels"] == sorted(counts)
    assert done.found["asked"] == {"photos at random": asked}
    assert done.pictures == (3 if asked else 2)
    said = "nothing would be left to learn it from: Plum" if asked else "Nothing is measured"
    assert said in done.text


def test_the_notebook_sees_frames_of_fruits_360_and_holds_out_their_blocks_and_turns(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(store, tmp_path / "store")
    turns = ["", "", "", "", "", "", "r_", "r_", "r_", "r_"]
    table = Store(str(tmp_path / "store")).reduced_features
    for folder in table.folders():
        rows = table.arrow(table.schema.names, [folder])
        names = [f"{folder}/{turn}{number}_100.jpg" for number, turn in enumerate(turns)]
        replace_rows(table, folder, rows.set_column(rows.schema.get_field_index("path"), "path", pa.array(names)))
    done = execute(tmp_path / "store", monkeypatch)
    assert "8 folders hold **frames of Fruits-360**" in done.text
    assert done.found["asked"] == {"photos at random": 80, "blocks of frames": 80, "whole turns": 80}
