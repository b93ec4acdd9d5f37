"""The versions of objects in S3: in a bucket that keeps them, what is deleted or replaced is still there."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from spark_steps.storage import s3_address, s3_client, s3_errors


@dataclass(frozen=True)
class Version:
    """A version of an object, or a marker that it was deleted.

    Attributes:
        key: The object's key.
        version_id: ``null`` in a bucket that keeps no versions.
        latest: Whether it is what a reader without a version gets.
        marker: Whether it is a delete marker, which has no bytes.
    """

    key: str
    version_id: str
    latest: bool
    marker: bool

    @property
    def former(self) -> bool:
        """Whether it is nothing that a reader without a version gets."""
        return self.marker or not self.latest

    @property
    def hides_others(self) -> bool:
        """Whether a reader without a version gets no former one because of it."""
        return self.marker or self.latest


def versions_of(location: str) -> list[Version]:
    """Returns all versions and delete markers of an object; none where there never was one."""
    _, key = s3_address.bucket_and_key(location)
    # A prefix: the keys that continue this one come after it, and are others.
    return [version for version in _listed(location) if version.key == key]


def versions_below(location: str) -> Iterator[Version]:
    """Yields all versions and delete markers of the objects below a prefix."""
    yield from _listed(f"{location}/")


def delete_versions(location: str, versions: Iterable[Version]) -> int:
    """Deletes versions for good, and returns how many; one that is not there is no error.

    Args:
        location: A location in their bucket.
        versions: The versions.
    """
    bucket, _ = s3_address.bucket_and_key(location)
    named = list(versions)
    # S3 deletes them one by one, and perhaps not all: what hides a former version goes when that is surely gone, or
    # readers would get it.
    for hides in (False, True):
        s3_client.delete_objects(
            bucket, [{"Key": one.key, "VersionId": one.version_id} for one in named if one.hides_others == hides]
        )
    return len(named)


def latest_of(location: str) -> tuple[str | None, str | None]:
    """Returns the version of an object that a reader gets, None without one, and its sha256, None without bytes."""
    bucket, key = s3_address.bucket_and_key(location)
    digest, length = hashlib.sha256(), 0
    try:
        with s3_errors.translate_errors(location):
            # Both from one answer: what is put in the meantime is another version.
            answer = s3_client.client().get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as body:
                for piece in body.iter_chunks(1 << 20):
                    digest.update(piece)
                    length += len(piece)
    except FileNotFoundError:
        return None, None
    return answer.get("VersionId", "null"), digest.hexdigest() if length else None


def _listed(prefix: str) -> Iterator[Version]:
    bucket, key = s3_address.bucket_and_key(prefix)
    with s3_errors.translate_errors(prefix):
        for page in s3_client.client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            for kind in ("Versions", "DeleteMarkers"):
                for one in page.get(kind, []):
                    yield Version(one["Key"], one["VersionId"], one["IsLatest"], kind == "DeleteMarkers")
