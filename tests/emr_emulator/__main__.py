"""Starts the emulator: ``python -m tests.emr_emulator --directory DIR``."""

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import threading
import warnings
from pathlib import Path

from tests.support.project import PROJECT

# Before moto is imported: the roles of the stack refer to AWS's own policies.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from filelock import FileLock
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from tests.emr_emulator import processes
from tests.emr_emulator.client import TOKEN
from tests.emr_emulator.cluster.world import Clock, World, end_everything, new_emulator_id
from tests.emr_emulator.server import Application
from tests.emr_emulator.spark import ARCHIVE, make_class_archive, make_environment, make_spark_home
from tests.emr_emulator.stack import REGION, STACK, make_stack, put_photos


class QuietHandler(MotoRequestHandler):
    """Answers requests without a line of log for each."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""


def read_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.emr_emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="for clusters, their nodes and their logs")
    parser.add_argument(
        "--startup-seconds", type=float, default=2.0, help="how long a cluster takes to be ready, besides Spark"
    )
    parser.add_argument(
        "--clock-speed", type=float, default=1.0,
        help="by how much idle time, the dead-man switch, schedules and timeouts run faster",
    )  # fmt: skip
    parser.add_argument(
        "--log-seconds", type=float, default=300.0, help="how often logs of steps are uploaded, by the same clock"
    )
    parser.add_argument("--executors", type=int, default=2, help="of each step, a process each")
    parser.add_argument("--in-driver", action="store_true", help="the tasks of executors run in the driver's process")
    parser.add_argument("--without-spark", action="store_true", help="clusters have no Spark, and a master alone")
    parser.add_argument(
        "--environment", choices=("venv", "archive"), default="venv",
        help="venv: tar lays down this project's own packages instead of unpacking; archive: tar is tar",
    )  # fmt: skip
    parser.add_argument("--stack", action="store_true", help=f"make the stack {STACK} from infra/fruits.yaml")
    parser.add_argument("--photos", action="store_true", help="with --stack: put generated photos into its data bucket")
    return parser.parse_args()


def main() -> None:
    """Runs until it is told to end, or whoever started it is gone."""
    arguments = read_arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("emr_emulator").setLevel(logging.INFO)
    # It tells of bucket policies, which complete_stacks takes care of.
    logging.getLogger("moto").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Tried to parse AWS::S3::BucketPolicy")
    directory: Path = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    parent = os.getppid()
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: stop.set())

    spark_home = make_spark_home()
    stand_in = make_environment(directory) if arguments.environment == "venv" else None
    server = make_server("127.0.0.1", arguments.port, lambda *_: [], threaded=True, request_handler=QuietHandler)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    clock = Clock(directory / "clock", arguments.clock_speed)
    world = World(
        endpoint, directory, new_emulator_id(), "ROOT" + secrets.token_hex(8).upper(), spark_home, stand_in,
        arguments.startup_seconds, clock, arguments.log_seconds, not arguments.without_spark, arguments.executors,
        arguments.in_driver,
    )  # fmt: skip
    server.app = application = Application(world)
    reaper = processes.start_reaper(world.emulator, PROJECT)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        if world.with_spark:
            archive_classes(world)
        outputs = make_stack(world, PROJECT) if arguments.stack else {}
        if outputs:
            application.databricks.prepare(STACK)
        if arguments.photos:
            put_photos(world, outputs["DataBucket"])
        sys.stdout.write(json.dumps({"endpoint": endpoint}) + "\n")
        sys.stdout.flush()
        if outputs:
            tell_a_person(endpoint, outputs["DataBucket"])
        while not stop.wait(0.5) and os.getppid() == parent:
            pass
    finally:
        server.shutdown()
        end_everything(world)
        if reaper.stdin is not None:
            reaper.stdin.close()


def archive_classes(world: World) -> None:
    """Archives the classes that Spark loads where that was not done on this machine."""
    # Of emulators that start at once the first one makes the archive, and the others wait for it.
    with FileLock(world.spark_home / f"{ARCHIVE}.lock"):
        if (world.spark_home / ARCHIVE).exists():
            return
        bucket = {"LocationConstraint": REGION}
        world.client("s3", REGION).create_bucket(Bucket="class-archive", CreateBucketConfiguration=bucket)
        logging.getLogger("emr_emulator").info("archiving Spark's classes, once on this machine: about a minute")
        make_class_archive(world.spark_home, world.directory, world.endpoint, world.root_key)


def tell_a_person(endpoint: str, bucket: str) -> None:
    """Prints what to paste into the terminal that works with the emulator."""
    sys.stderr.write(
        f"""
AWS is emulated at {endpoint}; it ends with Ctrl-C. In another terminal, paste:

export AWS_ENDPOINT_URL={endpoint}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=testing
export AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION} AWS_EC2_METADATA_DISABLED=true
export FRUITS_DEPLOYMENT=emr FRUITS_REGION={REGION} FRUITS_STACK={STACK}
export FRUITS_IMAGES=s3://{bucket}/Test FRUITS_STORE=s3://{bucket}

and then, say: .venv/bin/fruits run --weights random:0
or, as jobs of EMR Serverless: .venv/bin/fruits run --weights random:0 --deployment emr-serverless
or, as runs of a Glue job: .venv/bin/fruits run --weights random:0 --deployment glue
or, on Databricks: export DATABRICKS_HOST={endpoint} DATABRICKS_TOKEN={TOKEN}
    .venv/bin/fruits run --weights random:0 --deployment databricks

"""
    )
    sys.stderr.flush()


if __name__ == "__main__":
    main()
