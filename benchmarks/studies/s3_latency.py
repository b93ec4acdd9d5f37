"""Photos behind the latency of an object store: our features from a local disk and from S3, and Spark's binaryFile.

``python -m benchmarks.studies.s3_latency --photos FOLDER --weights FILE``. The server of the objects is a process on
the same machine, and takes a part of its cores: 0.2 to 0.4 ms for each request.
"""

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from benchmarks.studies.latency_proxy import LatencyServer, Request
from benchmarks.studies.static_s3 import StaticS3, objects_below
from fruits_assets.resources import LocalPySparkResource
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.mobilenet import plan_features
from spark_steps.features.weights import MobileNetModel, load_model
from spark_steps.photos.decoding import decode
from spark_steps.photos.limits import PHOTOS_PER_TASK, DecodeLimits
from spark_steps.photos.listing import find_photos, list_image_folders, plan_raw_images
from spark_steps.spark.session import local_spark_config
from spark_steps.store.store import Store

_BUCKET = "ms-"


def _latency(request: Request) -> float:
    # One server for all: the bucket's name says how late it answers.
    bucket = request.target.split("/")[1].partition("?")[0]
    return int(bucket.removeprefix(_BUCKET)) / 1000 if bucket.startswith(_BUCKET) else 0.0


def _serve(photos: str, ports: "multiprocessing.Queue[int]") -> None:
    with LatencyServer(StaticS3(objects_below(Path(photos))), _latency) as server:
        ports.put(server.port)
        while True:
            time.sleep(3600)


def features_of_the_product(spark: SparkSession, model: MobileNetModel, images: str) -> Callable[[], int]:
    """Returns what computes the features of all photos below a place, as the assets do; it gives their number."""
    store = Store(tempfile.mkdtemp(prefix="fruits-latency-"))
    folders = list(list_image_folders(images).photos)
    limits = DecodeLimits()
    raw, features = store.raw_images, store.mobilenet_features
    raw.write(plan_raw_images(raw, find_photos(images, folders, limits.fetch.max_bytes).rows))

    def run() -> int:
        update = plan_features(spark, raw, features, folders, model, limits, images, full_refresh=True)
        features.write(update.change)
        return update.inferences.value

    return run


def features_by_binary_file(spark: SparkSession, model: MobileNetModel, images: str, count: int) -> Callable[[], int]:
    """Returns the same network behind Spark's own reader, which opens one file after the other in each task."""
    broadcast, fingerprint = spark.sparkContext.broadcast(model.flatbuffer), model.fingerprint
    max_pixels = DecodeLimits().max_pixels

    def extract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        extractor = FeatureExtractor.of_process(fingerprint, broadcast)
        for batch in batches:
            found = [extractor.extract(decode(one.as_py(), max_pixels)) for one in batch["content"]]
            features = pa.ListArray.from_arrays(
                np.arange(0, 1280 * (len(found) + 1), 1280, dtype=np.int32), np.concatenate(found)
            )
            yield pa.RecordBatch.from_arrays([batch["path"], features], ["path", "features"])

    def run() -> int:
        # As many tasks as ours; by itself it would make one for each 30 photos.
        tasks = 2 * -(-count // PHOTOS_PER_TASK // 2)
        spark.conf.set("spark.sql.files.openCostInBytes", str(1 << 20))
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(-(-count // tasks) << 20))
        rows = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(images)
        directory = tempfile.mkdtemp(prefix="fruits-latency-")
        written = rows.select("path", "content").mapInArrow(extract, "path string, features array<float>")
        written.write.mode("overwrite").parquet(directory)
        return spark.read.parquet(directory).count()

    return run


@click.command(help=(__doc__ or "").partition("\n\n")[0])
@click.option("--photos", required=True, type=click.Path(exists=True, file_okay=False, resolve_path=True))
@click.option("--weights", default="random:0", show_default=True)
@click.option("--latency", "latencies", multiple=True, type=int, default=(0, 30, 50), help="Milliseconds; repeatable.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--cores", default="2", show_default=True)
def main(photos: str, weights: str, latencies: tuple[int, ...], repeats: int, cores: str) -> None:
    """Runs each in turn, so that what the machine does otherwise meets all of them."""
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=_serve, args=(photos, ports), daemon=True)
    server.start()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{ports.get()}",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106
        AWS_EC2_METADATA_DISABLED="true",
    )
    places = [f"s3://{_BUCKET}{latency}" for latency in latencies]
    config = local_spark_config(cores)
    spark = LocalPySparkResource(spark_config=config).spark_session
    model = load_model(weights, tempfile.mkdtemp(prefix="fruits-latency-"))
    contenders = {"local disk": features_of_the_product(spark, model, photos)}
    for latency, place in zip(latencies, places, strict=True):
        contenders[f"S3 at {latency} ms"] = features_of_the_product(spark, model, place)
    contenders["local disk"]()  # Starts the workers and the interpreters.
    count = sum(list_image_folders(photos).photos.values())
    contenders["binaryFile, S3 at 30 ms"] = features_by_binary_file(spark, model, f"s3://{_BUCKET}30/", count)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            started = time.perf_counter()
            done = run()
            rates[name].append(done / (time.perf_counter() - started))
            click.echo(f"{name}: {done} photos, {rates[name][-1]:.1f} a second", err=True)
    server.terminate()
    click.echo(_table(rates))
    click.echo(json.dumps(rates), err=True)


def _table(rates: dict[str, list[float]]) -> str:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    first = next(iter(medians.values()))
    lines = ["| features of photos in | images/s, median (range) | of the local rate |", "|---|---|---|"]
    for name, values in rates.items():
        spread = f"{min(values):.0f}-{max(values):.0f}"
        lines.append(f"| {name} | {medians[name]:.0f} ({spread}) | {medians[name] / first:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
