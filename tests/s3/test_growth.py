"""What growth costs: requests to S3 for a folder, and files for a folder."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from pyspark.sql import SparkSession

from fruits_assets.assets import ALL_ASSETS
from fruits_assets.assets.checks import ALL_CHECKS
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.resources import local_resources
from fruits_assets.settings import read_settings
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca.model import PcaSettings, fit
from spark_steps.pca.reduce import plan_reduced
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise
from spark_steps.tables.maintenance import MaintenanceLimits, maintain
from tests.support.aws.s3_server import S3, moto_server
from tests.support.photos import save_photo
from tests.support.steps import write_features, write_raw_images

# More than are listed one by one.
FOLDERS = 80


class Requests:
    """Counts the requests of all processes to a server, from its log, by what is asked of which table."""

    def __init__(self, log: Path) -> None:
        self._log, self._seen = log, 0

    def new(self) -> Counter[str]:
        """Returns those since the last call."""
        lines = [line for line in self._log.read_text().splitlines() if "HTTP/1.1" in line]
        known = ("raw_images", "mobilenet_features", "reduced_features", "Test")
        counted = Counter(next((name for name in known if name in line), "other") for line in lines[self._seen :])
        self._seen = len(lines)
        return counted


@pytest.fixture(scope="session")
def s3_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3") / "requests.log"


@pytest.fixture(scope="session")
def s3_endpoint(s3_log: Path) -> Iterator[str]:
    with moto_server(s3_log) as endpoint:
        yield endpoint


@pytest.fixture
def workers_reach_s3(spark: SparkSession, s3: S3, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AWS_ENDPOINT_URL": s3_endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in given.items():
        monkeypatch.setitem(spark.sparkContext.environment, name, value)


@pytest.mark.usefixtures("workers_reach_s3")
def test_a_folder_in_s3_takes_few_requests_in_a_run_of_many(
    spark: SparkSession,
    s3: S3,
    s3_log: Path,
    network: MobileNetModel,
    network_file: Path,
    tmp_path: Path,
    instance: dg.DagsterInstance,
) -> None:
    photo = save_photo(tmp_path / "photo.jpg").read_bytes()
    folders = [f"Fruit {number}" for number in range(FOLDERS)]
    for folder, number in itertools.product(folders, range(2)):
        # Two photos that differ, or there were no variance.
        s3.put(f"Test/{folder}/{number}.jpg", photo if number else save_photo(tmp_path / "2.jpg", 200).read_bytes())
    settings = read_settings(images=f"{s3.bucket}/Test", store=s3.bucket, weights=str(network_file), cores="2")
    instance.add_dynamic_partitions(IMAGE_FOLDERS, folders)
    counted = Requests(s3_log)
    counted.new()
    made = dg.materialize(
        [*ALL_ASSETS, *ALL_CHECKS],
        instance=instance,
        resources=local_resources(settings),
        selection=dg.AssetSelection.assets("raw_images", "mobilenet_model", "mobilenet_features"),
        tags={"dagster/asset_partition_range_start": folders[0], "dagster/asset_partition_range_end": folders[-1]},
    )
    assert made.success
    assert all(evaluation.passed for evaluation in made.get_asset_check_evaluations())
    requests = counted.new()
    # Listed by the asset and by its check, and each photo read once.
    assert requests["Test"] <= (1 + 1 + 2) * FOLDERS + 20
    # Written, and read by the features and for the metadata. What comes on top is the log's.
    assert requests["raw_images"] <= (1 + 1 + 1) * FOLDERS + 80
    # Written, and read for the metadata and by the check of the numbers.
    assert requests["mobilenet_features"] <= (1 + 1 + 1) * FOLDERS + 80

    store = Store(settings.store)
    model = fit(spark, store.mobilenet_features, network, PcaSettings(2))
    features, reduced = store.mobilenet_features, store.reduced_features
    reduced.write(plan_reduced(spark, features, reduced, folders, model))
    assert sum(summary.rows for summary in summarise(store.reduced_features, folders).values()) == 2 * FOLDERS
    requests = counted.new()
    # Read by the fit and by the projection.
    assert requests["mobilenet_features"] <= (1 + 1) * FOLDERS + 50
    assert requests["reduced_features"] <= (1 + 1) * FOLDERS + 50


def test_a_folder_that_grows_again_and_again_keeps_few_files(
    spark: SparkSession, network: MobileNetModel, tmp_path: Path
) -> None:
    images, store = tmp_path / "photos", Store(str(tmp_path / "store"))
    for addition in range(6):
        for number in range(3):
            save_photo(images / "Apple" / f"{addition}-{number}.jpg", colour=40 * addition + number)
        write_raw_images(store, images)
        assert write_features(spark, store, images, network).inferences.value == 3
        for table in (store.raw_images, store.mobilenet_features):
            maintain(table, ["Apple"], MaintenanceLimits(most_files=4), {})
            assert len(table.files()) <= 4 + spark.sparkContext.defaultParallelism
    assert summarise(store.mobilenet_features)["Apple"].usable.count == 18
