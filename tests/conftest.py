"""What the tests share: a stage for each, one Spark session, one random network, and photos of both kinds.

Whatever takes long to import is imported by the fixture that needs it.
"""

import hashlib
import os
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from PIL import Image

from tests.support.aws.s3_server import S3, moto_server
from tests.support.project import PROJECT, REAL_WEIGHTS, SHARED_DATA

if TYPE_CHECKING:
    import dagster as dg
    from botocore.loaders import Loader
    from pyspark.sql import SparkSession

    from fruits_assets.settings import Settings
    from spark_steps.features.weights import MobileNetModel
    from tests.emr_emulator import Emulator

PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS
# Which of the two pyproject.toml asks for depends on the machine.
TENSORFLOW = next(name for name in ("tensorflow", "tensorflow-cpu") if any(distributions(name=name)))
LONGEST = "test_stores.py"
STAGES = {
    "unit": "unit",
    "spark": "spark",
    "store": "spark",
    "dagster": "spark",
    "erasure": "spark",
    "s3": "s3",
    "emr": "emr",
    "engines": "emr",
    "ui": "ui",
    "benchmarks": "ui",
    "serve": "serve",
}


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Takes the time limit from Hypothesis' examples, before a module of tests with them is imported.

    On a busy machine an example takes longer than the 200 ms of the default, whatever it tests.
    """
    # To import it for all modules would take a third of a second.
    if b"from hypothesis import" in module_path.read_bytes():
        from hypothesis import settings

        settings.register_profile("fruits", deadline=None)
        settings.load_profile("fruits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with the stage of its folder, and puts the longest first: a process would end with it alone."""
    items.sort(key=lambda item: item.path.name != LONGEST)
    for item in items:
        folder = item.path.relative_to(PROJECT / "tests").parts[0]
        item.add_marker(STAGES[folder])


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> None:
    """Keeps the developer's own FRUITS_* settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("FRUITS_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def no_credentials_of_the_test_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has boto3 look for credentials anew: it keeps those of a process's first client."""
    if boto3 := sys.modules.get("boto3"):
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        # What it says of each service is the same for all: to read that anew takes a tenth of a second for each client.
        monkeypatch.setattr("botocore.session.create_loader", _loader)


@cache
def _loader(path: str | None = None) -> "Loader":
    from botocore.loaders import create_loader

    return create_loader(path)


@pytest.fixture(autouse=True)
def no_limit_of_pixels_of_the_test_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives Pillow its own limit: a photo that is decoded in this process leaves that of its settings."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PILLOWS_LIMIT)


@pytest.fixture(scope="session")
def spark() -> "SparkSession":
    """The session of this process, two cores."""
    from fruits_assets.resources import LocalPySparkResource
    from spark_steps.spark.session import local_spark_config

    return LocalPySparkResource(spark_config=local_spark_config("2")).spark_session


@pytest.fixture(scope="session")
def network() -> "MobileNetModel":
    """MobileNetV2 with random weights, converted by TensorFlow once for as long as nothing that converts it changes."""
    return _converted("random:0")


def _converted(source: str) -> "MobileNetModel":
    from spark_steps.features.weights import load_model

    cache = PROJECT / ".pytest_cache" / "networks" / _converter()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        return load_model(source, str(cache))


def _converter() -> str:
    """Returns a name for what makes a network of weights: other code or another TensorFlow has another."""
    sources = [file.read_bytes() for file in sorted((PROJECT / "spark_steps" / "features").glob("*.py"))]
    libraries = " ".join(version(library) for library in ("keras", "numpy", TENSORFLOW))
    return hashlib.sha256(b"\0".join([*sources, libraries.encode()])).hexdigest()[:16]


@pytest.fixture(scope="session")
def network_file(network: "MobileNetModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a weights file that needs no TensorFlow."""
    file = tmp_path_factory.mktemp("weights") / "random.tflite"
    file.write_bytes(network.flatbuffer)
    return file


@pytest.fixture(scope="session")
def other_network_file(network: "MobileNetModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of another network: some of the weights have another sign, which needs no TensorFlow either."""
    import numpy as np

    flatbuffer = bytearray(network.flatbuffer)
    # In the middle of the file is one of the large layers.
    np.frombuffer(flatbuffer, np.float32, count=1000, offset=len(flatbuffer) // 8 * 4)[:] *= -1
    file = tmp_path_factory.mktemp("weights") / "other.tflite"
    file.write_bytes(flatbuffer)
    return file


@pytest.fixture(scope="session")
def real_network(real_data: Path) -> "MobileNetModel":
    """The network of the real weights, converted as rarely as the random one."""
    return _converted(str(REAL_WEIGHTS))


@pytest.fixture(scope="session")
def real_network_file(real_network: "MobileNetModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a weights file that needs no TensorFlow."""
    file = tmp_path_factory.mktemp("weights") / "real.tflite"
    file.write_bytes(real_network.flatbuffer)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An images root with eight folders of four generated photos."""
    from fruits_assets.sample_photos import write_sample

    write_sample(tmp_path / "photos", photos_per_folder=4)
    return tmp_path / "photos"


@pytest.fixture
def settings(photos: Path, tmp_path: Path, network_file: Path) -> "Settings":
    """Settings for the generated photos and a new store."""
    from fruits_assets.settings import read_settings

    return read_settings(images=str(photos), store=str(tmp_path / "store"), weights=str(network_file), cores="2")


@pytest.fixture
def instance() -> "Iterator[dg.DagsterInstance]":
    """A real Dagster instance that forgets everything."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster home with its databases, to be copied: Dagster takes half a second to make them."""
    from fruits_assets.instance.home import ensure_dagster_home

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(tmp_path_factory.mktemp("empty") / "home"))
        return ensure_dagster_home("/store")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The shared real photos and weights; a test is skipped where they are missing."""
    if not SHARED_DATA.exists():
        pytest.skip(f"the shared data is not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 in a process of its own."""
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Emulator]":
    """AWS with the stack and a workspace of Databricks, one for all tests of a process.

    Tasks run in the driver of a step, which starts sooner; with the fixture ``executors`` in processes of their own.
    """
    from tests.emr_emulator import Emulator

    started = Emulator.start(
        tmp_path_factory.mktemp("aws"), stack=True, startup_seconds=0.5, log_seconds=3, executors=1, in_driver=True
    )
    yield started
    started.stop()


@pytest.fixture
def executors(aws: "Emulator") -> Iterator[None]:
    """Executors that are processes of their own, for the tests of what runs there."""
    aws.run_in_driver(False)
    yield
    aws.run_in_driver(True)


@pytest.fixture
def without_spark(aws: "Emulator") -> Iterator[None]:
    """Clusters that are there sooner, for tests that run no step of an asset."""
    aws.give_clusters_spark(False)
    yield
    aws.give_clusters_spark(True)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of AWS, wherever they might come from."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def s3(s3_endpoint: str, no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> S3:
    """A new bucket."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("s3", region_name="eu-west-3")
    name = f"fruits-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    return S3(f"s3://{name}", client)
