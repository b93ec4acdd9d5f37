"""What the tests share: one Spark session, one random network, and photos of both kinds."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import dagster as dg
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from fruits_assets.resources import LocalPySparkResource
from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import Settings, read_settings
from spark_steps.features.weights import MobileNetModel, load_model
from spark_steps.spark.session import local_spark_config
from tests.support.project import SHARED_DATA

_PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> None:
    """Keeps the developer's own FRUITS_* settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("FRUITS_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def no_credentials_of_the_test_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has boto3 look for credentials anew: it keeps those of a process's first client."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(autouse=True)
def no_limit_of_pixels_of_the_test_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives Pillow its own limit: a photo that is decoded in this process leaves that of its settings."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", _PILLOWS_LIMIT)


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """The session of this process, two cores."""
    return LocalPySparkResource(spark_config=local_spark_config("2")).spark_session


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> MobileNetModel:
    """MobileNetV2 with random weights, converted by TensorFlow once for all tests."""
    return load_model("random:0", str(tmp_path_factory.mktemp("network")))


@pytest.fixture(scope="session")
def network_file(network: MobileNetModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a weights file that needs no TensorFlow."""
    file = tmp_path_factory.mktemp("weights") / "random.tflite"
    file.write_bytes(network.flatbuffer)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An images root with eight folders of four generated photos."""
    write_sample(tmp_path / "photos", photos_per_folder=4)
    return tmp_path / "photos"


@pytest.fixture
def settings(photos: Path, tmp_path: Path, network_file: Path) -> Settings:
    """Settings for the generated photos and a new store."""
    return read_settings(images=str(photos), store=str(tmp_path / "store"), weights=str(network_file), cores="2")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A real Dagster instance that forgets everything."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def real_data() -> Path:
    """The shared real photos and weights; the test is skipped where they are missing."""
    if not SHARED_DATA.exists():
        pytest.skip(f"the shared data is not at {SHARED_DATA}")
    return SHARED_DATA
