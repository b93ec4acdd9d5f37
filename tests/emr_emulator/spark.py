"""What lies on every node of an EMR cluster: Spark with S3A, and a Python 3.11 environment without this project."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pyspark

from spark_steps.spark.session import find_java_home

HADOOP_AWS = "3.3.4"
S3_JARS = [
    f"org.apache.hadoop_hadoop-aws-{HADOOP_AWS}.jar",
    "com.amazonaws_aws-java-sdk-bundle-1.12.262.jar",
    "org.wildfly.openssl_wildfly-openssl-1.0.7.Final.jar",
]
DELTA = "io.delta:delta-spark_2.12:3.3.2"
DELTA_JARS = [
    "io.delta_delta-spark_2.12-3.3.2.jar",
    "io.delta_delta-storage-3.3.2.jar",
    "org.antlr_antlr4-runtime-4.9.3.jar",
]
PYSPARK = Path(pyspark.__file__).parent
# What starting Spark costs most is loading classes: the first compiler, no verification, and an archive of loaded
# classes (class data sharing) take more than half of it away.
SMALL_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
ARCHIVE = "classes.jsa"

# What the archive of `fruits deploy` does not hold: Spark is the cluster's own, TensorFlow is too large, and the rest
# is for development.
NOT_ON_NODES = (
    "pyspark",
    "py4j",
    "tensorflow",
    "keras",
    "moto",
    "pytest",
    "_pytest",
    "mypy",
    "sklearn",
    "scikit_learn",
)


def s3_jars() -> list[Path]:
    """Returns the jars of S3A, which Ivy fetches from Maven Central once per machine (280 MB)."""
    return _jars(f"org.apache.hadoop:hadoop-aws:{HADOOP_AWS}", S3_JARS)


def delta_jars() -> list[Path]:
    """Returns the jars of Delta's connector for Spark, fetched in the same way (7 MB)."""
    return _jars(DELTA, DELTA_JARS)


def _jars(package: str, names: Sequence[str]) -> list[Path]:
    folder = Path.home() / ".ivy2" / "jars"
    jars = [folder / name for name in names]
    if not all(jar.exists() for jar in jars):
        code = (
            "from pyspark.sql import SparkSession; SparkSession.builder.master('local[1]')"
            f".config('spark.jars.packages', '{package}').getOrCreate().stop()"
        )
        environment = {**os.environ, "JAVA_HOME": str(find_java_home())}
        outcome = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        if not all(jar.exists() for jar in jars):
            raise RuntimeError(f"the jars of {package} could not be fetched into {folder}: {outcome.stderr[-2000:]}")
    return jars


def make_spark_home() -> Path:
    """Makes what /usr/lib/spark is on EMR: links to pip's pyspark, and the jars of S3A beside its own.

    All emulators of a machine share it, in the user's cache, because an archive of classes is bound to its jars' paths.
    """
    origin = f"{PYSPARK} {find_java_home()} {SMALL_JAVA}"
    key = f"{pyspark.__version__}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
    home = Path.home() / ".cache" / "fruits-emr-emulator" / f"spark-{key}"
    (home / "jars").mkdir(parents=True, exist_ok=True)
    targets = {home / name: PYSPARK / name for name in ("bin", "sbin", "python")}
    targets |= {home / "jars" / jar.name: jar for jar in [*(PYSPARK / "jars").iterdir(), *s3_jars()]}
    for place, target in targets.items():
        # Only what is missing: another emulator may be at work.
        with contextlib.suppress(FileExistsError):
            place.symlink_to(target)
    return home


def java_options(spark_home: Path) -> str:
    """Returns the options of every JVM of Spark's."""
    archive = spark_home / ARCHIVE
    return f"{SMALL_JAVA} -XX:SharedArchiveFile={archive} -Xlog:disable" if archive.exists() else SMALL_JAVA


_TYPICAL = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.sparkContext.parallelize(range(4), 2).map(lambda number: (number, str(number))).toDF(["a", "b"])
rows.groupBy("b").count().write.mode("overwrite").partitionBy("b").parquet("s3://class-archive/table")
spark.read.parquet("s3://class-archive/table").mapInPandas(lambda frames: frames, "b string, count long").collect()
rows.selectExpr("cast(b as binary) as c").write.mode("overwrite").json("s3://class-archive/text")
"""


def make_class_archive(spark_home: Path, directory: Path, endpoint: str, key: str) -> None:
    """Archives the classes that a typical step loads, once per machine (a minute); without it Spark is only slower.

    Args:
        spark_home: Of this machine; the archive is kept in it.
        directory: For what is temporary.
        endpoint: Where S3 answers.
        key: An access key.
    """
    if (spark_home / ARCHIVE).exists():
        return
    (directory / "archive").mkdir(exist_ok=True)
    script, properties = directory / "archive" / "typical.py", directory / "archive" / "spark-defaults.conf"
    temporary = directory / "archive" / ARCHIVE
    script.write_text(_TYPICAL)
    text = spark_defaults(endpoint, "eu-west-3", "none", f"{SMALL_JAVA} -XX:ArchiveClassesAtExit={temporary}")
    properties.write_text(text)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYTHON", "AWS_"))},
        "JAVA_HOME": str(find_java_home()),
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "root",
    }
    command = [str(spark_home / "bin" / "spark-submit"), "--master", "local[2]", "--properties-file", str(properties)]
    with (directory / "archive" / "log").open("wb") as output:
        subprocess.run(
            [*command, str(script)],
            env=environment,
            cwd=directory,
            stdout=output,
            stderr=output,
            timeout=600,
            check=False,
        )
    if temporary.exists():
        shutil.move(temporary, spark_home / f"{ARCHIVE}.new")
        (spark_home / f"{ARCHIVE}.new").replace(spark_home / ARCHIVE)


def make_environment(directory: Path) -> Path:
    """Makes a small stand-in for the archive of the environment: a venv of links to this project's own packages.

    The project itself is left out, so that a file missing from a step's code.zip is missing here too.
    """
    environment = directory / "environment"
    packages = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (environment / "bin").mkdir(exist_ok=True)
    python = interpreter()
    for name in ("python", "python3", python.name):
        link(environment / "bin" / name, python)
    (environment / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(NOT_ON_NODES) and entry.suffix != ".pth" and not _is_editable(entry):
            link(packages / entry.name, entry)
    return environment


def interpreter() -> Path:
    """Returns this machine's own Python, outside of any venv."""
    return Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def _is_editable(entry: Path) -> bool:
    direct = entry / "direct_url.json"
    return direct.exists() and bool(json.loads(direct.read_text()).get("dir_info", {}).get("editable"))


def link(place: Path, target: Path) -> None:
    """Makes a symbolic link, anew where there is one."""
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def spark_defaults(endpoint: str, region: str, step: str, java: str, executors: int = 2) -> str:
    """Returns the spark-defaults.conf of a step, which stands for EMR's own.

    Args:
        endpoint: Where S3 answers.
        region: Of the cluster.
        step: Its id; executors carry it as a mark.
        java: Options of driver and executors.
        executors: How many there are, of one core each.
    """
    compiler = f"{java} -Dcom.amazonaws.sdk.disableEc2Metadata=true"
    values = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "768m",
        "spark.executor.memory": "768m",
        "spark.cores.max": str(executors),
        # As YARN does, which waits for 80 % of the executors; otherwise the first one to come takes all tasks.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.dynamicAllocation.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": compiler,
        "spark.executor.extraJavaOptions": compiler,
        "spark.executorEnv.EMR_EMULATOR_STEP": step,
        "spark.sql.shuffle.partitions": "4",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.AbstractFileSystem.s3.impl": "org.apache.hadoop.fs.s3a.S3A",
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": region,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.attempts.maximum": "3",
        "spark.hadoop.fs.s3a.retry.limit": "3",
        "spark.hadoop.fs.s3a.fast.upload.buffer": "bytebuffer",
    }
    return "".join(f"{name} {value}\n" for name, value in values.items())


# Spark's size of an m5.xlarge, which this machine has not: asked for by a step, it is cut to this.
_MOST = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.driver.memoryOverhead": "384m",
    "spark.executor.memoryOverhead": "384m",
    "spark.executor.cores": "1",
    "spark.driver.cores": "1",
    "spark.executor.instances": "2",
    "spark.dynamicAllocation.enabled": "false",
}
_OPTIONS = {
    "--driver-memory": "spark.driver.memory",
    "--executor-memory": "spark.executor.memory",
    "--executor-cores": "spark.executor.cores",
    "--num-executors": "spark.executor.instances",
}


def rewrite_command(args: list[str], spark_home: Path, master: str, opt: Path) -> list[str]:
    """Returns a step's arguments as they can run here: places of EMR, ``--master yarn``, and sizes of memory.

    Args:
        args: Of the step.
        spark_home: What /usr/lib/spark is.
        master: URL of the standalone master.
        opt: What /opt/fruits is.
    """
    places = {"/usr/lib/spark": str(spark_home), "/opt/fruits": str(opt)}
    command: list[str] = []
    for argument in args:
        before = command[-1] if command else ""
        if before == "--master" and argument == "yarn":
            argument = master
        elif before in _OPTIONS:
            argument = _at_most(_OPTIONS[before], argument)
        elif before == "--conf" and "=" in argument:
            name, _, value = argument.partition("=")
            argument = f"{name}={_at_most(name, value)}"
        for place, local in places.items():
            argument = argument.replace(place, local)
        command.append(argument)
    return command


def _at_most(name: str, value: str) -> str:
    if name not in _MOST:
        return value
    most = _MOST[name]
    if most == "false":
        return most
    return most if _size(value) > _size(most) else value


def _size(value: str) -> float:
    units = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
    digits = value.strip().lower().removesuffix("b")
    return float(digits[:-1]) * units[digits[-1]] if digits and digits[-1] in units else float(digits or 0)
