"""What is never written down: a photo's bytes, what its EXIF says, where it was taken; and where nothing goes."""

import io
import re
import struct
from fractions import Fraction
from pathlib import Path

import boto3
import dagster as dg
import pytest
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from fruits_assets.aws.residency import check_residency, s3_places
from fruits_assets.definitions import build_definitions
from fruits_assets.engines.emr.cluster_request import cluster_request
from fruits_assets.instance import home
from fruits_assets.settings import Settings, _place, read_settings
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from tests.support.aws.cluster import ENVIRONMENT, INFRASTRUCTURE
from tests.support.aws.s3_server import S3
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.small_store import contents_below, files_that_say

WORDS = ["Zyxomaker", "Qwertcam 9", "Jane Unlikely", "at grandmother's", "SN-77134-ABX", "xmp-said-so", "a png said it"]
LATITUDE, LONGITUDE = (51.0, 28.0, 40.12345), (7.0, 0.0, 5.54321)


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x013B], tags[0x010E] = WORDS[:4]
    tags[0x0112] = 6
    tags.get_ifd(0x8769)[0xA431] = WORDS[4]
    place = tags.get_ifd(0x8825)
    place[1], place[3] = "N", "E"
    place[2], place[4] = (
        tuple(IFDRational(round(one * 100_000), 100_000) for one in at) for at in (LATITUDE, LONGITUDE)
    )
    return tags


def told_by_exif() -> list[bytes]:
    """What EXIF says, as it says it and as a program would write it down."""
    # So many digits that no duration or mean has them by chance; cut off and not rounded, for longer ones to begin so.
    numbers = [f"{LATITUDE[2]:.5f}", f"{LONGITUDE[2]:.5f}"]
    decimal = [f"{at[0] + at[1] / 60 + at[2] / 3600:.9f}"[:-3] for at in (LATITUDE, LONGITUDE)]
    seconds = [Fraction(round(at[2] * 100_000), 100_000) for at in (LATITUDE, LONGITUDE)]
    packed = [struct.pack(order + "II", one.numerator, one.denominator) for order in "<>" for one in seconds]
    return [*(one.encode() for one in [*WORDS, *numbers, *decimal]), *packed]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that say much of themselves: good ones, one cut short, one too deep, one that is none."""
    root = tmp_path_factory.mktemp("private") / "images"
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{WORDS[5]}</x:xmpmeta>'.encode()
    for number in range(4):
        save_photo(root / "Fig" / f"{number}.jpg", 40 * number, exif=exif(), xmp=xmp, comment=WORDS[3].encode())
    said = PngImagePlugin.PngInfo()
    said.add_text("Author", WORDS[6])
    save_photo(root / "Plum" / "one.png", 7, exif=exif(), pnginfo=said)
    save_photo(root / "Plum" / "two.webp", 9, exif=exif())
    whole = (root / "Fig" / "0.jpg").read_bytes()
    (root / "Plum" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (root / "Plum" / "none.jpg").write_bytes(whole[2:])
    return root


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Path:
    """A directory with the store and the Dagster home of a run on them."""
    place = images.parent
    settings = read_settings(images=str(images), store=str(place / "store"), weights=str(network_file), cores="2")
    (place / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(place / "home")) as instance:
        said: list[str] = []
        run_pipeline(settings, instance, say=said.append)
        (place / "home" / "said.txt").write_text("\n".join(said))
    return place


def test_no_exif_value_and_no_place_is_in_any_table_log_or_metadata(images: Path, done: Path) -> None:
    # What is searched for is there to be found.
    photos = contents_below(images).values()
    assert [word for word in WORDS if not any(word.encode() in content for content in photos)] == []
    assert all(any(packed in content for content in photos) for packed in told_by_exif()[-2:])
    assert files_that_say(contents_below(done / "store", done / "home"), told_by_exif()) == {}


def test_no_byte_of_a_photo_is_in_any_table_log_or_metadata(images: Path, done: Path) -> None:
    pieces = []
    for content in contents_below(images).values():
        # What any JPEG has in common, tables and headers, is nobody's.
        start = content.rfind(b"\xff\xda") + 40 if content.startswith(b"\xff\xd8") else len(content) // 2
        pieces += [content[at : at + 16] for at in range(start, len(content) - 40, 64)]
    assert len(pieces) > 40
    assert files_that_say(contents_below(done / "store", done / "home"), pieces) == {}


def test_the_search_would_find_it(done: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": ["x" * 1000 + WORDS[0]], "error": [None]}), buffer, compression="zstd")
    assert files_that_say({"a.parquet": buffer.getvalue()}, [WORDS[0].encode()])


def test_every_setting_that_names_a_place_is_among_those_that_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        name
        for name, field in Settings.model_fields.items()
        if any(getattr(one, "func", None) is _place for one in field.metadata)
    }
    assert named == {"images", "store"}
    settings = read_settings(images="s3://a/x", store="s3://b", weights="s3://c/w.h5")
    assert s3_places(settings) == ["s3://a/x", "s3://b", "s3://c/w.h5"]
    texts = (
        {name for name, field in Settings.model_fields.items() if field.annotation in (str, str | None)}
        - named
        - {"weights", "region"}
    )
    # What is left is text, and no place.
    assert texts == {
        "stack",
        "cores",
        "driver_memory",
        "instance_type",
        "emr_release",
        "executor_memory",
        "executor_overhead",
        "scaling",
    }


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "eu-central-2", "ap-south-1"])
def test_no_region_outside_the_eu_can_be_set(region: str) -> None:
    with pytest.raises(FruitsError, match=r"FRUITS_REGION.*photos stay in the European Union. Choose one of eu-west-3"):
        read_settings(region=region)


def away(name: str) -> str:
    client = boto3.client("s3", region_name="us-west-2")
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return f"s3://{name}"


def test_a_staging_bucket_outside_the_eu_is_refused_and_with_it_logs_and_notebooks(s3: S3) -> None:
    settings = read_settings(images=f"{s3.bucket}/Test", store=s3.bucket)
    with pytest.raises(FruitsError, match="us-west-2"):
        check_residency(settings, locations=[*s3_places(settings), away("staging-away")])


def test_logs_and_notebooks_of_clusters_go_to_the_staging_bucket_and_nowhere_else() -> None:
    asked = cluster_request(read_settings(jupyterhub=True), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    named = set(re.findall(r"s3://([^/'\"]+)", repr(asked)))
    assert named == {INFRASTRUCTURE.staging_bucket}
    assert asked["LogUri"] == f"s3://{INFRASTRUCTURE.staging_bucket}/logs/"
    hub, _ = asked["Configurations"]
    assert hub["Properties"]["s3.persistence.bucket"] == INFRASTRUCTURE.staging_bucket


def test_the_weights_cache_is_in_the_store_and_so_where_the_store_is() -> None:
    store = Store("s3://bucket/prefix")
    assert store.mobilenet_models.startswith(f"{store.root}/")
    assert store.pca_models.startswith(f"{store.root}/")
    assert store.erasures.startswith(f"{store.root}/")


def test_weights_that_a_run_names_by_itself_are_asked_too(s3: S3, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = read_settings(images=str(tmp_path), store=str(tmp_path / "store"))
    config = {"ops": {"mobilenet_model": {"config": {"weights": f"{away('weights-away')}/net.h5"}}}}
    result = (
        build_definitions(settings)
        .resolve_job_def("extract_features")
        .execute_in_process(config, instance=instance, op_selection=["mobilenet_model"], raise_on_error=False)
    )
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "us-west-2" in str(failure.step_failure_data.error)


@pytest.mark.parametrize("said", ["", "telemetry:\n  enabled: true\n", "run_monitoring:\n  enabled: true\n"])
def test_a_dagster_home_that_sends_telemetry_is_refused(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(said)
    with pytest.raises(FruitsError, match=r"dagster.yaml lets Dagster send telemetry to the United States. Add"):
        home.ensure_dagster_home(str(tmp_path / "store"))
    (tmp_path / "dagster.yaml").write_text(said.replace("enabled: true\n", "enabled: false\n", 1))
    if said.startswith("telemetry"):
        home.ensure_dagster_home(str(tmp_path / "store"))
