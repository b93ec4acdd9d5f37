"""A store of the release before the Delta tables is converted in place, and no row changes but in its path."""

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from fruits_assets.commands.cli import main
from spark_steps.errors import FruitsError
from spark_steps.features.weights import MobileNetModel
from spark_steps.storage import locations
from spark_steps.store import conversion
from spark_steps.store.conversion import convert
from spark_steps.store.store import Store
from spark_steps.tables.schemas import with_folder
from tests.support.aws.s3_server import S3
from tests.support.photos import save_photo
from tests.support.small_store import Photo, make_photos, rows_of, write_rows
from tests.support.steps import write_features, write_raw_images

FOLDERS = ["Fig", "é a=b% 'x'", "sub/true", "2024-01-01"]


def directory_of(folder: str) -> str:
    # The characters that Spark escapes; an accent and a space it leaves as they are.
    return "folder=" + "".join(quote(one, safe="") if one in "\"#%'*/:=?\\{[]^" else one for one in folder)


def write_old(store: Store, images: str, rows: dict[str, pa.Table]) -> None:
    """Writes tables as the release before did: a directory for each folder, whole places in the rows."""
    for name, table in store.tables.items():
        for folder in dict.fromkeys(rows[name]["folder"].to_pylist()):
            of_folder = rows[name].filter(pa.compute.equal(rows[name]["folder"], folder)).drop_columns(["folder"])
            write_old_file(f"{table.root}/{directory_of(folder)}/part-0.parquet", images, of_folder)


def write_old_file(location: str, images: str, rows: pa.Table) -> None:
    paths = pa.array([f"{images}/{path}" for path in rows["path"].to_pylist()], pa.string())
    sink = pa.BufferOutputStream()
    pq.write_table(rows.set_column(rows.schema.get_field_index("path"), "path", paths), sink)
    locations.write_bytes(location, sink.getvalue().to_pybytes())


@pytest.fixture
def photos() -> list[Photo]:
    return make_photos("/photos", FOLDERS, 3)


@pytest.fixture
def expected(tmp_path: Path, photos: list[Photo]) -> dict[str, pa.Table]:
    """The rows of a new store of the same photos."""
    store = Store(str(tmp_path / "new"))
    write_rows(store, photos)
    return rows_of(store)


@pytest.fixture
def old(tmp_path: Path, expected: dict[str, pa.Table]) -> Store:
    store = Store(str(tmp_path / "old"))
    write_old(store, "/photos", expected)
    (tmp_path / "old" / "Results" / "raw_images" / "_replacing").mkdir()
    return store


def test_an_old_table_is_refused_with_the_command_that_converts_it(old: Store) -> None:
    for name in ("raw_images", "mobilenet_features", "reduced_features"):
        table = old.tables[name]
        with pytest.raises(FruitsError, match=r"earlier release.*fruits convert"):
            table.files()


def test_a_converted_store_has_the_rows_that_it_had_with_paths_below_its_images(
    old: Store, expected: dict[str, pa.Table]
) -> None:
    told = CliRunner().invoke(main, ["convert", "--store", old.root])
    assert told.output.splitlines() == [
        "raw_images: 12 rows",
        "mobilenet_features: 12 rows",
        "reduced_features: 12 rows",
    ]
    assert rows_of(old) == expected
    assert old.images == "/photos"
    assert not [path for path in Path(old.root).rglob("*") if path.name.startswith(("folder=", "_replacing"))]
    again = CliRunner().invoke(main, ["convert", "--store", old.root])
    assert again.output == f"There is nothing to convert in {old.root}.\n"


@pytest.mark.parametrize("step", ["write_file", "commit", "delete_directory"])
def test_a_conversion_that_is_interrupted_at_any_step_can_be_repeated(
    old: Store, expected: dict[str, pa.Table], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interruption(BaseException):
        pass

    owner, name = {
        "write_file": (conversion, "write_file"),
        "commit": (type(old.raw_images), "commit"),
        "delete_directory": (locations, "delete_directory"),
    }[step]
    calls, really = [0], getattr(owner, name)

    def interrupted(*arguments: object) -> object:
        calls[0] += 1
        # After the first, so that a part is done.
        if calls[0] == 2:
            raise Interruption
        return really(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        with pytest.raises(Interruption):
            convert(old, lambda _: None)
    convert(old, lambda _: None)
    assert rows_of(old) == expected
    assert not list(Path(old.root).rglob("folder=*"))


def note_of(table: Path, come: dict[str, list[str]], **more: object) -> None:
    (table / "_replacing" / "000000000007.json").write_text(json.dumps({"id": "abc", "folders": come, **more}))


@pytest.mark.parametrize("already_in_place", [True, False])
def test_a_replacement_that_was_decided_and_not_carried_out_is_honoured(
    old: Store, expected: dict[str, pa.Table], photos: list[Photo], already_in_place: bool
) -> None:
    # One new file for Fig, of its first photo alone.
    fewer = expected["raw_images"].filter(pa.compute.equal(expected["raw_images"]["path"], photos[0].path))
    table = Path(old.raw_images.root)
    waiting = table / ("folder=Fig" if already_in_place else "_replacing/abc/folder=Fig")
    write_old_file(f"{waiting}/new.parquet", "/photos", fewer.drop_columns(["folder"]))
    note_of(table, {"Fig": ["new.parquet"]})
    convert(old, lambda _: None)
    kept = expected["raw_images"].filter(pa.compute.not_equal(expected["raw_images"]["folder"], "Fig"))
    assert rows_of(old)["raw_images"].sort_by("path") == pa.concat_tables([kept, fewer]).sort_by("path")


def test_a_replacement_whose_new_files_were_lost_or_which_is_done_leaves_the_table_as_it_is(
    old: Store, expected: dict[str, pa.Table]
) -> None:
    table = Path(old.raw_images.root)
    note_of(table, {"Fig": ["lost.parquet"]})
    done = Path(old.mobilenet_features.root)
    (done / "_replacing").mkdir()
    note_of(done, {"Fig": []})
    (done / "_replacing" / "000000000007-abc.done").touch()
    convert(old, lambda _: None)
    assert rows_of(old) == expected


def test_photos_of_several_images_folders_are_refused_and_nothing_is_deleted(
    old: Store, expected: dict[str, pa.Table]
) -> None:
    other = expected["raw_images"].slice(0, 1).drop_columns(["folder"])
    write_old_file(f"{old.raw_images.root}/{directory_of(FOLDERS[3])}/part-1.parquet", "/elsewhere", other)
    with pytest.raises(FruitsError, match="several images folders: /elsewhere, /photos"):
        convert(old, lambda _: None)
    assert len(list(Path(old.raw_images.root).rglob("folder=*/*.parquet"))) == 5


def test_a_store_in_s3_is_converted_too(s3: S3, expected: dict[str, pa.Table]) -> None:
    store = Store(f"{s3.bucket}/store")
    write_old(store, f"{s3.bucket}/Test", expected)
    assert convert(store, lambda _: None)
    assert rows_of(store) == expected
    assert store.images == f"{s3.bucket}/Test"
    assert not [key for key in s3.listing() if "folder=" in key]


def test_no_photo_of_a_converted_store_is_run_again(
    spark: SparkSession, network: MobileNetModel, tmp_path: Path
) -> None:
    images, made, old = tmp_path / "photos", Store(str(tmp_path / "made")), Store(str(tmp_path / "old"))
    for number in range(3):
        save_photo(images / "Fig" / f"{number}.jpg", colour=80 * number)
    (images / "Fig" / "text.jpg").write_text("a letter")
    write_raw_images(made, images)
    write_features(spark, made, images, network)
    names = {name: with_folder(table.schema).names for name, table in made.tables.items()}
    write_old(old, str(images), {name: table.arrow(names[name]) for name, table in made.tables.items()})
    shutil.rmtree(made.root)
    assert convert(old, lambda _: None)
    assert write_raw_images(old, images).is_empty
    update = write_features(spark, old, images, network)
    assert (update.inferences.value, update.change.is_empty) == (0, True)
