"""Spark's connector for S3, which a local Spark comes without: its jars where Ivy has put them, else Ivy's task."""

import zipfile
from pathlib import Path

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
