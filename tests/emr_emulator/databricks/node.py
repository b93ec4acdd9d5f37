"""The nodes of a job cluster, one machine here: the runtime's own Python, and what init scripts make of it."""

import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.shims import tar_of
from tests.emr_emulator.spark import interpreter, link

# Of the many packages of the runtime those with which a script fetches something from S3.
_OF_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")


class Node:
    """A node.

    Attributes:
        directory: For its files; what is /databricks on a node lies below it.
    """

    def __init__(self, world: World, region: str, home: Path, own: dict[str, str]) -> None:
        self.world = world
        self.region = region
        self.home = home
        self.directory = home / "node"
        self._own = own
        self.python = self.directory / "databricks" / "python" / "bin" / "python"
        packages = self.python.parent.parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        packages.mkdir(parents=True)
        self.python.parent.mkdir()
        link(self.python, interpreter())
        (self.python.parent.parent / "pyvenv.cfg").write_text(f"home = {interpreter().parent}\n")
        for name in _OF_THE_RUNTIME:
            link(packages / name, Path(sysconfig.get_path("purelib")) / name)

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        """Returns the environment of its processes.

        Args:
            variables: Those of the cluster.
        """
        return {
            **self.world.spark_environment(self.home),
            "AWS_ENDPOINT_URL": self.world.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYSPARK_PYTHON": str(self.python),
            "PYSPARK_DRIVER_PYTHON": str(self.python),
            **variables,
            **self._own,
        }

    def run_init_script(self, place: dict[str, str], variables: dict[str, str], stops: Callable[[], bool]) -> str:
        """Runs an init script of S3, and returns why it failed; nothing where it did not.

        Args:
            place: Destination and region of the script.
            variables: Those of the cluster.
            stops: Whether the run is to stop.
        """
        shims, script, output = (self.directory / name for name in ("shims", "init.sh", "init.log"))
        shims.mkdir(exist_ok=True)
        bucket, _, key = place["destination"].removeprefix("s3://").partition("/")
        try:
            self.world.client("s3", place["region"], self._own).download_file(bucket, key, str(script))
        except (ClientError, BotoCoreError) as error:
            return f"the script cannot be fetched: {error}"
        script.write_text(script.read_text().replace("/databricks/", f"{self.directory}/databricks/"))
        if self.world.stand_in is not None:
            (shims / "tar").write_text(tar_of(self.world.stand_in))
            (shims / "tar").chmod(0o755)
        environment = self.environment(variables)
        environment["PATH"] = f"{shims}:{environment['PATH']}"
        process = processes.start(["bash", str(script)], environment, self.directory, output, output)
        while process.poll() is None:
            if stops():
                processes.kill(self._marks)
            time.sleep(0.02)
        return f"Script exit status is non-zero ({process.returncode})" if process.returncode else ""

    @property
    def _marks(self) -> dict[str, str]:
        return {name: self._own[name] for name in (processes.EMULATOR, processes.STEP)}
