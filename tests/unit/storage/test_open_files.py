"""Every file that is opened is closed, and not by whoever collects the garbage."""

import ast
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest

from spark_steps.erasure.model_photos import photos_with_features
from spark_steps.pca.model import PcaModel
from spark_steps.pca.model_store import save
from spark_steps.pca.photo_map import sample_map
from spark_steps.queries.exports.files import export_csv, export_npz, export_parquet
from spark_steps.queries.exports.huggingface import export_huggingface
from spark_steps.queries.exports.rows import Selection
from spark_steps.queries.exports.tfrecord import export_tfrecord
from spark_steps.store.store import Store
from spark_steps.store.summaries import rejected_photos, summarise
from spark_steps.store.versions import as_it_was, history
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.row_removal import RowPredicate, remove_rows
from tests.support.project import PROJECT
from tests.support.small_store import MODEL, make_photos, write_photos, write_rows

OPENING = {"ParquetFile", "ZipFile", "open_input", "open_output", "open_input_stream", "open_output_stream", "reading"}


class Kept(pq.ParquetFile):  # type: ignore[misc]
    """A Parquet file that nobody collects."""

    all: ClassVar[list["Kept"]] = []

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.all.append(self)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Kept]]:
    monkeypatch.setattr(pq, "ParquetFile", Kept)
    yield Kept.all
    Kept.all.clear()


def open_below(directory: Path) -> list[str]:
    """The files below a directory that this process has open."""
    targets = [str(Path("/proc/self/fd", name).resolve()) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    return [target for target in targets if target.startswith(f"{directory}/")]


def model() -> PcaModel:
    """A PCA model as that which has reduced the rows of a small store."""
    return PcaModel(
        version="v",
        features_model=MODEL,
        rows=9,
        folders=["Apple", "Fig"],
        k=4,
        asked_components=4,
        asked_variance=None,
        mean=np.zeros(1280),
        scale=np.ones(1280),
        components=np.eye(4, 1280),
        explained_variance_ratio=np.full(4, 0.1),
    )


def test_a_look_at_a_store_and_a_change_of_it_leave_no_file_open(tmp_path: Path, kept: list[Kept]) -> None:
    photos = make_photos(str(tmp_path / "photos"), ["Apple", "Fig"], 4)
    store = Store(str(tmp_path / "store"))
    write_photos(photos)
    write_rows(store, photos, model=False)
    save(model(), store.pca_models)
    for table in store.tables.values():
        summarise(table)
        folder_totals(table)
    rejected_photos(store.mobilenet_features)
    photos_with_features(store, [photos[0].image_id])
    sample_map(store.mobilenet_features, model())
    moment = datetime.now(UTC).isoformat()
    assert as_it_was(store, moment).existing_pca_model().version == "v"
    assert history(store)
    assert export_csv(store, tmp_path / "a.csv") == export_npz(store, tmp_path / "a.npz") == len(photos)
    assert export_parquet(store, tmp_path / "a.parquet") == export_tfrecord(store, tmp_path / "a.tfrecord.gz")
    assert export_huggingface(store, tmp_path / "a", Selection(full=True)) == len(photos)
    for table in store.tables.values():
        remove_rows(table, RowPredicate(frozenset(), frozenset([photos[0].path])))
    assert len(kept) > len(photos)
    assert [file for file in kept if not file.closed] == []
    assert open_below(tmp_path) == []


def test_what_opens_a_file_stands_where_it_is_closed() -> None:
    """In a ``with``, or in a function that hands it to one: also where tasks run, whose files no test can see."""
    left = []
    for file in (PROJECT / "spark_steps").rglob("*.py"):
        tree = ast.parse(file.read_text())
        closed: set[ast.AST | None] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.With):
                closed |= {item.context_expr for item in node.items}
            elif isinstance(node, ast.Return):
                closed.add(node.value)
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in OPENING and call not in closed:
                left.append(f"{file.name}:{call.lineno}")
    assert left == []
