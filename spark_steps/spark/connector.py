"""Spark's connector for S3, which a local Spark comes without: its jars where Ivy has put them, else Ivy's task."""

import os
import shlex
import shutil
import sys
import tempfile
import zipfile
from functools import lru_cache, partial
from pathlib import Path

from spark_steps import at_exit
from spark_steps.environment import export
from spark_steps.storage import s3_credentials
from spark_steps.storage.s3_address import endpoint, region

_IVY_JARS = Path.home() / ".ivy2" / "jars"
# What hadoop-aws of a version depends on, besides what Spark has (its pom.xml on Maven Central).
_DEPENDENCIES = {
    "3.3.4": ("com.amazonaws_aws-java-sdk-bundle-1.12.262", "org.wildfly.openssl_wildfly-openssl-1.0.7.Final")
}


def connector_config(hadoop_version: str, jars: Path = _IVY_JARS) -> dict[str, str]:
    """Returns the setting that brings the connector into a local session.

    The first session fetches 280 MB from Maven Central, and says so at length. Later ones find the jars where Ivy has
    put them, and ask neither Ivy nor, as they do with ``spark.jars``, for a copy of them at each start.

    Args:
        hadoop_version: That of Spark's own jars.
        jars: Where Ivy puts what it has fetched.
    """
    names = (f"org.apache.hadoop_hadoop-aws-{hadoop_version}", *_DEPENDENCIES.get(hadoop_version, ()))
    files = [jars / f"{name}.jar" for name in names]
    # The directory of a zip file is at its end, so that one that was cut off is none.
    if hadoop_version in _DEPENDENCIES and all(file.exists() and zipfile.is_zipfile(file) for file in files):
        return {"spark.driver.extraClassPath": ":".join(map(str, files))}
    return {"spark.jars.packages": f"org.apache.hadoop:hadoop-aws:{hadoop_version}"}


# Hadoop's connector for s3:// speaks AWS SDK 1, which knows neither IAM Identity Center nor everything else that boto3
# does. It can ask a command for credentials, though, and asks again when they expire.
_CREDENTIALS_FILE_OF_SDK_1 = "AWS_CREDENTIAL_PROFILES_FILE"


def spark_config(hadoop_version: str) -> dict[str, str]:
    """Returns the settings that make a local Spark read and write s3://, which it cannot by itself.

    Args:
        hadoop_version: That of Spark's own jars.
    """
    own_endpoint = endpoint()
    return {
        **connector_config(hadoop_version),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # Named even where it is AWS's own: without it the connector asks the one in the United States first.
        "spark.hadoop.fs.s3a.endpoint": own_endpoint or f"https://s3.{region()}.amazonaws.com",
        "spark.hadoop.fs.s3a.endpoint.region": region(),
        "spark.hadoop.fs.s3a.path.style.access": str(own_endpoint is not None).lower(),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(not (own_endpoint or "").startswith("http://")).lower(),
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.profile.ProfileCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
    }


@lru_cache(maxsize=1)
def use_boto3_credentials_in_java() -> None:
    """Lets Spark's JVM ask this module for credentials, and writes none down; must come before the JVM starts."""
    directory = tempfile.mkdtemp(prefix="fruits-aws-")
    at_exit.call(partial(shutil.rmtree, directory, ignore_errors=True))
    file = Path(directory) / "credentials"
    command = f"{shlex.quote(sys.executable)} -m {s3_credentials.__name__}"
    profiles = {"default", os.environ.get("AWS_PROFILE") or "default"}
    file.write_text("".join(f"[{profile}]\ncredential_process = {command}\n" for profile in sorted(profiles)))
    export(_CREDENTIALS_FILE_OF_SDK_1, str(file))
