"""The pictures: small, of numbers alone, and nothing that fails a step."""

import base64
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from PIL import Image

from fruits_assets.charts import photo_map, picture, rejected_by_reason, variance_curve
from fruits_assets.checks import usable_photos
from fruits_assets.scope import scope
from spark_steps.folder_names import directory_name
from spark_steps.pca import PcaModel
from spark_steps.photo_map import MOST_FOLDERS, MOST_PHOTOS, PhotoMap, sample_map, spread
from spark_steps.schemas import FEATURES_SCHEMA
from spark_steps.summaries import Photos, Summary
from spark_steps.tables import FolderTable
from spark_steps.weights import FEATURES

MOST_CHARACTERS = 60_000


def model_of(folders: list[str], components: int = 50) -> PcaModel:
    """A PCA whose components are the first features."""
    ratios = 0.98 ** np.arange(components)
    return PcaModel(
        version="v",
        features_model="f",
        rows=5000,
        folders=folders,
        k=components,
        asked_components=components,
        asked_variance=None,
        mean=np.zeros(FEATURES),
        scale=np.ones(FEATURES),
        components=np.eye(components, FEATURES),
        explained_variance_ratio=ratios / ratios.sum(),
    )


def write_features(root: Path, folder: str, photos: int, rejected: int = 0) -> None:
    """Writes the features of a folder: each photo's first two are 1 and 2."""
    features = np.zeros((photos, FEATURES), np.float32)
    features[:, :2] = 1, 2
    directory = root / directory_name(folder)
    directory.mkdir(parents=True)
    table = pa.table({"label": [folder] * (photos + rejected), "features": [None] * rejected + list(features)})
    pq.write_table(table, directory / "part-0.parquet")


def size_of(markdown: str) -> tuple[int, int]:
    data = base64.b64decode(markdown.partition("base64,")[2].removesuffix(")"))
    return Image.open(io.BytesIO(data)).size


def test_the_largest_pictures_are_small_enough_for_the_event_log() -> None:
    random = np.random.default_rng(0)
    labels = [f"A fruit of a rather long name {number % MOST_FOLDERS}" for number in range(MOST_PHOTOS)]
    sample = PhotoMap(labels, random.normal(size=(MOST_PHOTOS, 2)).astype(np.float32), MOST_FOLDERS)
    model = model_of(labels[:MOST_FOLDERS], 350)
    reasons = {f"a reason of some length {number}": number + 1 for number in range(30)}
    for drawn in (lambda: photo_map(sample, model), lambda: variance_curve(model), lambda: rejected_by_reason(reasons)):
        markdown = str(picture(drawn, "a chart").value)
        assert len(markdown) < MOST_CHARACTERS
        assert min(size_of(markdown)) > 300


def test_labels_that_look_like_formulas_or_are_hidden_by_an_underscore_are_drawn_as_they_are() -> None:
    sample = PhotoMap(["$\\frac{$", "_hidden", "50% off"], np.eye(3, 2, dtype=np.float32), 3)
    assert size_of(str(picture(lambda: photo_map(sample, model_of(["a", "b", "c"])), "a map").value))
    (legend,) = photo_map(sample, model_of(["a"])).legends
    assert [text.get_text() for text in legend.get_texts()] == ["$\\frac{$", "50% off", "_hidden"]


def test_a_picture_that_cannot_be_drawn_says_so_and_fails_nothing() -> None:
    def draw() -> Figure:
        raise ValueError("no ink")

    assert picture(draw, "a chart").value == "a chart: could not be drawn: `ValueError('no ink')`"


def test_the_map_is_of_the_first_usable_photos_of_evenly_spaced_folders(tmp_path: Path) -> None:
    folders = [f"fruit {number:02d}" for number in range(30)]
    for folder in folders:
        write_features(tmp_path, folder, photos=120, rejected=3)
    sample = sample_map(FolderTable(str(tmp_path), FEATURES_SCHEMA), model_of(folders))
    assert len(sample.labels) == MOST_PHOTOS
    assert set(sample.labels) == set(spread(folders, MOST_FOLDERS)) >= {"fruit 00", "fruit 29"}
    assert (sample.points == [1, 2]).all()


def test_a_pca_of_one_component_has_a_map_too(tmp_path: Path) -> None:
    write_features(tmp_path, "Lemon", photos=2)
    model = model_of(["Lemon"], components=1)
    sample = sample_map(FolderTable(str(tmp_path), FEATURES_SCHEMA), model)
    assert sample.points.tolist() == [[1, 0], [1, 0]]
    assert "base64" in str(picture(lambda: photo_map(sample, model), "a map").value)


def test_the_check_on_rejected_photos_tells_reasons_and_remedy_and_bears_a_few() -> None:
    rejected = (("a", "truncated: x"), ("b", "empty: y"))
    found = Summary(photos=Photos(50, 0), reasons={"truncated": 1, "empty": 1}, rejected=rejected)
    everywhere = scope(None, ["Lemon", "Plum"])
    failed = usable_photos(found, everywhere, bearable=0.01)
    assert not failed.passed
    assert str(failed.description).startswith(
        "In all 2 folders of the store: 2 of 50 photos are rejected (4.0%; up to 1.0% pass): 1 truncated, 1 empty. "
    )
    assert failed.metadata["rejected"].value == 2
    assert usable_photos(found, everywhere, bearable=0.05).passed
    passed = usable_photos(Summary(photos=Photos(50, 0)), everywhere, bearable=0)
    assert passed.description == "In all 2 folders of the store: all 50 photos are usable."
