"""Photos that need not be in a store find their nearest labels there."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pyspark.sql import SparkSession

from fruits_assets.commands.cli import main
from fruits_assets.commands.identify import as_sentence
from fruits_assets.sample_photos import write_sample
from spark_steps.pca.model import PcaModel
from spark_steps.queries.comparable import ComparableFile
from spark_steps.queries.neighbours import Near, Neighbour, find_neighbours, labels_of
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.small_store import replace_rows
from tests.support.steps import write_store

HEAVY = ("pyspark", "dagster", "tensorflow", "keras", "pandas", "botocore")


@dataclass(frozen=True)
class Tried:
    """A store of generated photos, and a photo of each fruit that is not in it."""

    store: Store
    images: Path
    left_out: dict[str, Path]


@pytest.fixture(scope="module")
def tried(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Tried:
    root = tmp_path_factory.mktemp("identify")
    write_sample(root / "photos", photos_per_folder=8)
    left_out = {}
    for folder in (root / "photos").iterdir():
        left_out[folder.name] = root / f"{folder.name}.jpg"
        shutil.move(folder / "005.jpg", left_out[folder.name])
    store = Store(str(root / "store"))
    write_store(spark, store, root / "photos", network_file)
    return Tried(store, root / "photos", left_out)


@pytest.fixture
def copied(tried: Tried, tmp_path: Path) -> Store:
    """The same store, to be damaged."""
    shutil.copytree(tried.store.root, tmp_path / "store")
    return Store(str(tmp_path / "store"))


def identify(store: Store, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["identify", "--store", store.root, *map(str, arguments)])


def identified(store: Store, *arguments: str | Path) -> list[dict[str, Any]]:
    done = identify(store, "--json", *arguments)
    photos: list[dict[str, Any]] = json.loads(done.stdout)["photos"]
    return photos


def test_photos_left_out_of_the_store_are_nearest_to_their_own_labels(tried: Tried) -> None:
    # The network's weights are random, so colour and shape are all it sees; the two that look alike may be mistaken.
    photos = identified(tried.store, *tried.left_out.values())
    firsts = {Path(one["photo"]).stem: one["labels"][0]["label"] for one in photos}
    assert len(firsts) == 8
    assert sum(label == first for label, first in firsts.items()) >= 6
    assert all(one["labels"][0]["distance"] > 0 for one in photos)


@pytest.fixture(scope="module")
def real(
    spark: SparkSession, real_data: Path, real_network_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """A store of every 24th real photo."""
    root = tmp_path_factory.mktemp("real")
    for folder in (real_data / "fruits360").iterdir():
        (root / "photos" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[::24]:
            shutil.copy(photo, root / "photos" / folder.name)
    store = Store(str(root / "store"))
    write_store(spark, store, root / "photos", real_network_file)
    return store


def test_a_real_photo_left_out_of_the_store_names_its_label_among_the_nearest(real: Store, real_data: Path) -> None:
    done = identify(real, sorted((real_data / "fruits360" / "Kiwi").iterdir())[3])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].startswith("  Kiwi: ")


def test_a_photo_of_the_store_gets_the_numbers_that_the_table_has_and_finds_itself(tried: Tried) -> None:
    (one,) = identified(tried.store, tried.images / "Plum" / "001.jpg")
    table = tried.store.reduced_features.arrow(["image_id", "reduced"]).to_pydict()
    expected = dict(zip(table["image_id"], table["reduced"], strict=True))[one["image_id"]]
    np.testing.assert_allclose(one["reduced"], expected, atol=1e-4)
    assert one["neighbours"][0]["image_id"] == one["image_id"]
    assert one["neighbours"][0]["distance"] == pytest.approx(0, abs=1e-3)
    assert (one["labels"][0]["label"], one["labels"][0]["nearest"]) == ("Plum", one["neighbours"][0]["path"])


def test_the_process_imports_neither_spark_nor_dagster_nor_tensorflow(tried: Tried) -> None:
    photo = str(tried.left_out["Lemon"])
    program = (
        "import sys\nfrom fruits_assets.commands.cli import main\n"
        f"main(['identify', {photo!r}, '--store', {tried.store.root!r}], standalone_mode=False)\n"
        f"sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "of 10" in done.stdout


def test_what_cannot_be_read_is_refused_in_a_sentence_and_the_others_are_identified(
    tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("not a photo")
    (tmp_path / "empty.jpg").touch()
    whole = tried.left_out["Orange"].read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    bad: list[str | Path] = [
        letter,
        tmp_path / "empty.jpg",
        tmp_path / "cut.jpg",
        tmp_path / "nowhere.jpg",
        tmp_path,
        "caf\udce9.jpg",
    ]
    monkeypatch.chdir(tmp_path)
    good = ["~1.jpg", "./~2.jpg", "?.jpg", "*", "%41.jpg", "#", "s3:x", "梨.jpg", "-x.jpg"]
    for name in good:
        Path(name).write_bytes(whole)
    done = identify(tried.store, *bad, "--", *good)
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if line and not line.startswith("  ")] == good
    lines = done.stderr.removeprefix("Error: ").splitlines()
    said = (
        "not an image: the bytes are",
        "empty: the file has no bytes",
        "truncated: ",
        "There is no photo",
        "no file",
        "The name caf\\xe9.jpg is not UTF-8. Rename it.",
    )
    assert len(lines) == 6
    assert all(words in line for words, line in zip(said, lines, strict=True)), lines
    assert [bool(one.get("error")) for one in identified(tried.store, letter, tried.left_out["Orange"])] == [
        False,
        True,
    ]


def test_a_photo_above_the_limits_is_refused(tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (1500, 1000)).save(tmp_path / "large.png")
    monkeypatch.setenv("FRUITS_MAX_PHOTO_MEGAPIXELS", "1")
    done = identify(tried.store, tmp_path / "large.png")
    assert done.exit_code == 1
    assert "decompression bomb: 1500 x 1000 pixels, and at most 1000000 are decoded" in done.stderr


def test_a_store_without_a_pca_model_is_refused_with_the_remedy(tried: Tried, tmp_path: Path) -> None:
    done = identify(Store(str(tmp_path / "none")), tried.left_out["Lemon"])
    assert done.exit_code == 1
    assert f"There is no store at {tmp_path}/none, or it has no PCA model yet. Make one: fruits run" in done.stderr


def test_a_store_without_its_network_is_refused_with_the_remedy(tried: Tried, copied: Store) -> None:
    (flatbuffer,) = Path(copied.mobilenet_models).glob("*.tflite")
    flatbuffer.write_bytes(flatbuffer.read_bytes()[:-1])
    done = identify(copied, tried.left_out["Lemon"])
    assert done.exit_code == 1
    assert "The network that made the features" in done.stderr
    assert f"fruits run --images DIR --store {copied.root} --weights" in done.stderr


def answers(store: Store, photo: Path) -> tuple[str, dict[str, Any]]:
    """What identify says on standard error, and its answer with every photo of the store as a neighbour."""
    done = identify(store, "--neighbours", "100", "--json", photo)
    assert done.exit_code == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.stderr, told


def assert_the_same_answers(one: dict[str, Any], other: dict[str, Any]) -> None:
    (here,), (there,) = one["photos"], other["photos"]
    assert here["verdict"]["label"] == there["verdict"]["label"]
    distances = [{near["path"]: near["distance"] for near in photo["neighbours"]} for photo in (here, there)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-5)
    assert one["photos_compared_with"] == other["photos_compared_with"] == 56


def as_of_another_model(store: Store, folder: str, rows: int) -> None:
    table = store.reduced_features.arrow(REDUCED_SCHEMA.names, [folder])
    versions = ["another"] * rows + table["pca_model"].to_pylist()[rows:]
    # Numbers that would be wrong, were they compared with.
    numbers = pa.array([[0.0] * len(one) for one in table["reduced"].to_pylist()], pa.list_(pa.float32()))
    columns = {"reduced": numbers, "pca_model": pa.array(versions)}
    for name, column in columns.items():
        table = table.set_column(REDUCED_SCHEMA.get_field_index(name), name, column)
    replace_rows(store.reduced_features, folder, table)


def test_photos_that_another_pca_model_has_reduced_are_projected_and_compared_with(tried: Tried, copied: Store) -> None:
    as_of_another_model(copied, "Lemon", 3)
    as_of_another_model(copied, "Plum", 7)
    stderr, told = answers(copied, tried.left_out["Lemon"])
    assert "Projected for this: 14 photos of the store, in 2 folders such as 'Lemon', 'Plum'" in stderr
    assert told["photos_projected"] == 14
    assert_the_same_answers(told, answers(tried.store, tried.left_out["Lemon"])[1])


def test_photos_that_were_never_reduced_are_projected_and_compared_with(tried: Tried, copied: Store) -> None:
    copied.reduced_features.drop(["Lemon"])
    stderr, told = answers(copied, tried.left_out["Lemon"])
    assert "Projected for this: 7 photos of the store, in folder 'Lemon'" in stderr
    assert_the_same_answers(told, answers(tried.store, tried.left_out["Lemon"])[1])


def test_a_store_whose_photos_are_all_of_another_pca_model_answers_from_all_of_them(
    tried: Tried, copied: Store
) -> None:
    shutil.rmtree(copied.reduced_features.root)
    assert_the_same_answers(answers(copied, tried.left_out["Plum"])[1], answers(tried.store, tried.left_out["Plum"])[1])


def test_nothing_is_said_of_a_store_that_is_up_to_date(tried: Tried) -> None:
    stderr, told = answers(tried.store, tried.left_out["Lemon"])
    assert (stderr, told["photos_projected"]) == ("", 0)


def test_features_of_two_networks_are_refused_with_how_many_and_the_remedy(tried: Tried, copied: Store) -> None:
    table = copied.mobilenet_features
    rows = table.arrow(table.schema.names, ["Lemon"])
    models = pa.array(["other"] * len(rows))
    replace_rows(table, "Lemon", rows.set_column(rows.schema.get_field_index("model"), "model", models))
    done = identify(copied, tried.left_out["Lemon"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "7 photos, in folder 'Lemon', have features of another network than PCA model" in done.stderr
    assert f"Bring the store up to date: fruits run --images DIR --store {copied.root}" in done.stderr


def test_stale_photos_whose_features_are_not_there_are_refused(tried: Tried, copied: Store) -> None:
    as_of_another_model(copied, "Lemon", 7)
    shutil.rmtree(copied.mobilenet_features.root)
    done = identify(copied, tried.left_out["Lemon"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "7 photos, in folder 'Lemon', are reduced by another PCA model" in done.stderr


def test_reduced_features_copied_without_the_features_answer(tried: Tried, copied: Store) -> None:
    shutil.rmtree(copied.mobilenet_features.root)
    assert_the_same_answers(
        answers(copied, tried.left_out["Lemon"])[1], answers(tried.store, tried.left_out["Lemon"])[1]
    )


def test_a_store_and_a_photo_in_s3_give_what_the_same_on_a_disk_give(tried: Tried, s3: Any) -> None:
    s3.put_folder(Path(tried.store.root), "store")
    s3.put("new/lemon.jpg", tried.left_out["Lemon"].read_bytes())
    (there,) = identified(Store(f"{s3.bucket}/store"), f"{s3.bucket}/new/lemon.jpg")
    (here,) = identified(tried.store, tried.left_out["Lemon"])
    assert there["neighbours"] == here["neighbours"]


def test_the_nearest_are_those_of_a_comparison_with_every_row(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    numbers = random.normal(size=(3000, 7)).astype(np.float32)
    table = FolderTable(str(tmp_path), REDUCED_SCHEMA)
    folder_of_row = np.zeros(3000, int)
    tables = {}
    for folder, rows in enumerate(np.array_split(np.arange(3000), [10, 11, 1500])):
        folder_of_row[rows] = folder
        columns = {
            "image_id": [f"{row:064x}" for row in rows],
            "path": [f"{folder}/{row}.jpg" for row in rows],
            "label": [str(folder)] * len(rows),
            "reduced": list(numbers[rows]),
            "pca_model": ["version"] * len(rows),
        }
        tables[str(folder)] = [pa.table(columns, REDUCED_SCHEMA)]
    table.write(table.replacement(DriverRows(tables), list(tables)))
    queries = random.normal(size=(3, 7)).astype(np.float32)
    files = [ComparableFile(table, file, model_of(7)) for file in table.files()]
    for query, found in zip(queries, find_neighbours(files, queries, 12), strict=True):
        distances = np.linalg.norm(numbers - query, axis=1)
        assert [int(one.image_id, 16) for one in found.neighbours] == list(np.argsort(distances)[:12])
        assert [one.distance for one in found.neighbours] == pytest.approx(np.sort(distances)[:12], abs=1e-5)
        by_label = sorted(distances[folder_of_row == folder].min() for folder in range(4))
        assert [one.distance for one in found.labels] == pytest.approx(by_label[:2], abs=1e-5)


def model_of(k: int) -> PcaModel:
    """A PCA model that has reduced all; it projects nothing."""
    none = np.empty(0)
    return PcaModel("version", "net", 2, [], k, k, None, none, none, none, none)


def near(*distances_and_labels: tuple[float, str]) -> Near:
    neighbours = [Neighbour(distance, f"/{label}", label, label) for distance, label in distances_and_labels]
    return Near(neighbours, neighbours)


@pytest.mark.parametrize(
    ("found", "label", "threshold", "sentence"),
    [
        (near((7.4, "Kiwi"), (10.0, "Lime")), "Kiwi", 7.5, "Kiwi: the nearest photo is nearer than 7.50."),
        (
            near((7.5, "Kiwi"), (10.0, "Lime")),
            None,
            7.5,
            "Unknown: no photo is nearer than 7.50. Perhaps Kiwi or Lime, perhaps something else.",
        ),
        (
            near((0.0, "Kiwi"), (0.0, "Lime")),
            None,
            0.0,
            "Unknown: the same photo has the labels Kiwi and Lime in the store.",
        ),
        (near((0.0, "Kiwi")), None, None, "Unknown: all photos of the store are of one label, Kiwi."),
    ],
    ids=["much nearer", "not much nearer", "one photo under two labels", "one label"],
)
def test_a_label_is_known_where_its_nearest_photo_is_much_nearer_than_those_of_others(
    found: Near, label: str | None, threshold: float | None, sentence: str
) -> None:
    assert (found.verdict.label, found.verdict.threshold) == (label, threshold)
    assert as_sentence(found.verdict).startswith(sentence)


def test_the_verdict_stands_above_labels_under_heads(tried: Tried) -> None:
    photo = tried.images / "Plum" / "001.jpg"
    path, verdict, heads, first, *_ = identify(tried.store, photo).stdout.splitlines()
    assert (path, verdict.split(":")[0]) == (str(photo), "  Plum")
    assert heads.split() == ["label", "distance", "neighbours", "nearest", "photo"]
    columns = [first[heads.index(head) :].split()[0] for head in ("label", "nearest")]
    assert columns == ["Plum", "001.jpg"]
    assert first[: heads.index("neighbours")].endswith("0.00  ")


def test_real_photos_of_no_fruit_are_unknown_and_those_of_a_fruit_are_known(real: Store, real_data: Path) -> None:
    nothing = [real_data / "messy" / name for name in ("hopper.png", "flower.webp", "icc_profile_big.jpg")]
    fruits = [sorted((real_data / "fruits360" / label).iterdir())[6] for label in ("Kiwi", "Banana", "Walnut")]
    photos = identified(real, *nothing, *fruits)
    assert [one["verdict"]["label"] for one in photos] == [None, None, None, "Kiwi", "Banana", "Walnut"]


def test_labels_come_with_their_nearest_photo_and_their_share_of_the_neighbours() -> None:
    kiwi, lime = Neighbour(1.0, "/b", "Kiwi", "b"), Neighbour(2.0, "/a", "Lime", "a")
    neighbours = [kiwi, lime, Neighbour(3.0, "/c", "Kiwi", "c")]
    told = labels_of(Near(neighbours, [kiwi, lime]))
    assert [tuple(one) for one in told] == [("Kiwi", 1.0, 2, "/b"), ("Lime", 2.0, 1, "/a")]


def test_the_next_label_is_told_where_no_neighbour_has_it() -> None:
    kiwi, lime = Neighbour(1.0, "/b", "Kiwi", "b"), Neighbour(2.0, "/a", "Lime", "a")
    assert [tuple(one) for one in labels_of(Near([kiwi], [kiwi, lime]))] == [
        ("Kiwi", 1.0, 1, "/b"),
        ("Lime", 2.0, 0, "/a"),
    ]
