"""Spark's connector for S3, which a local Spark lacks: its jars from Ivy's directory, or fetched by Ivy."""

import os
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

from spark_steps import at_exit
from spark_steps.environment import export, name_user
from spark_steps.storage import s3_credentials
from spark_steps.storage.s3_address import endpoint, region

# The dependencies of a version of hadoop-aws that Spark does not have (from its pom.xml on Maven Central).
_DEPENDENCIES = {
    "3.3.4": ("com.amazonaws_aws-java-sdk-bundle-1.12.262", "org.wildfly.openssl_wildfly-openssl-1.0.7.Final")
}
# The setting of each session that uses S3.
_OF_S3 = "spark.hadoop.fs.s3.impl"


def ivy_directory() -> Path:
    """Returns Ivy's directory, below ``HOME``: Java's own home directory is that of the list of users, or ``?``."""
    name_user()
    return Path.home() / ".ivy2"


def connector_jars(hadoop_version: str, directory: Path | None = None) -> list[Path]:
    """Returns the jars of the connector; none unless all of them are there.

    Args:
        hadoop_version: Version of Spark's own Hadoop jars.
        directory: Of the jars that Ivy has fetched; by default that of ``ivy_directory``.
    """
    names = (f"org.apache.hadoop_hadoop-aws-{hadoop_version}", *_DEPENDENCIES.get(hadoop_version, ()))
    files = [(directory or ivy_directory() / "jars") / f"{name}.jar" for name in names]
    # A truncated jar is not recognised as a zip file, because the directory of a zip file is at its end.
    whole = hadoop_version in _DEPENDENCIES and all(file.exists() and zipfile.is_zipfile(file) for file in files)
    return files if whole else []


def connector_config(hadoop_version: str, directory: Path | None = None) -> dict[str, str]:
    """Returns the setting that adds the connector to a local session, where ``extend_class_path`` does not.

    The first session fetches 280 MB from Maven Central, and prints long messages about it.

    Args:
        hadoop_version: Version of Spark's own Hadoop jars.
        directory: As of ``connector_jars``.
    """
    if connector_jars(hadoop_version, directory):
        return {}
    return {"spark.jars.packages": f"org.apache.hadoop:hadoop-aws:{hadoop_version}"}


def extend_class_path(config: Mapping[str, str], hadoop_version: str) -> None:
    """Has Java find the connector's jars after Spark's own, if a session uses S3; call before the JVM starts.

    ``spark.jars`` would copy them at each start. ``spark.driver.extraClassPath`` would place them before Spark's own:
    Java then takes no class from the archive of ``class_archive``, and needs almost twice the time to start.

    Args:
        config: The settings of the session.
        hadoop_version: Version of Spark's own Hadoop jars.
    """
    if _OF_S3 in config and (jars := connector_jars(hadoop_version)):
        export("SPARK_DIST_CLASSPATH", ":".join(map(str, jars)))


# Hadoop's connector uses version 1 of the AWS SDK, which lacks IAM Identity Center and other credential providers of
# boto3. But it can run a command for credentials, and runs it again when they expire.
_CREDENTIALS_FILE_OF_SDK_1 = "AWS_CREDENTIAL_PROFILES_FILE"


def spark_config(hadoop_version: str) -> dict[str, str]:
    """Returns the settings with which a local Spark reads and writes s3://.

    Args:
        hadoop_version: Version of Spark's own Hadoop jars.
    """
    own_endpoint = endpoint()
    return {
        **connector_config(hadoop_version),
        _OF_S3: "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # Set also for AWS's own endpoint: by default the connector asks the one in the United States first.
        "spark.hadoop.fs.s3a.endpoint": own_endpoint or f"https://s3.{region()}.amazonaws.com",
        "spark.hadoop.fs.s3a.endpoint.region": region(),
        "spark.hadoop.fs.s3a.path.style.access": str(own_endpoint is not None).lower(),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(not (own_endpoint or "").startswith("http://")).lower(),
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.profile.ProfileCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
    }


@lru_cache(maxsize=1)
def use_boto3_credentials_in_java() -> None:
    """Makes Spark's JVM run a command for credentials, so none are written to disk; call before the JVM starts."""
    directory = tempfile.mkdtemp(prefix="fruits-aws-")
    at_exit.call(partial(shutil.rmtree, directory, ignore_errors=True))
    file = Path(directory) / "credentials"
    command = f"{shlex.quote(sys.executable)} -m {s3_credentials.__name__}"
    profiles = {"default", os.environ.get("AWS_PROFILE") or "default"}
    file.write_text("".join(f"[{profile}]\ncredential_process = {command}\n" for profile in sorted(profiles)))
    export(_CREDENTIALS_FILE_OF_SDK_1, str(file))
