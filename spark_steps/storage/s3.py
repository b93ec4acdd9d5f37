"""Objects in S3."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.storage import object_store, s3_address, s3_client, s3_errors, s3_reader, s3_versions
from spark_steps.storage.pyarrow_backend import PyarrowBackend


class S3Objects(PyarrowBackend):
    """Locations that begin with ``s3://``."""

    is_remote = True

    def filesystem(self, location: str) -> tuple[fs.FileSystem, str]:
        """Returns the filesystem of S3, and bucket and key of a location.

        Raises:
            FruitsError: There are no credentials.
        """
        # Not from_uri, which decodes %20 and takes # and ? for what they are in a URL: keys may hold them.
        return s3_client.filesystem(), location.removeprefix(s3_address.SCHEME)

    def translate_errors(self, location: str) -> AbstractContextManager[None]:
        """Turns what S3 answers into a FruitsError that names the location and the remedy."""
        return s3_errors.translate_errors(location)

    def tags_after(self, directory: str, path: str) -> dict[str, str]:
        """Returns the ETags of objects whose keys follow another, by name; the first 1,000."""
        bucket, key = s3_address.bucket_and_key(directory)
        start = f"{key}/{path}".removeprefix("/")
        prefix = start.removesuffix(path.rpartition("/")[2])
        with self.translate_errors(directory):
            listed = s3_client.client().list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=start)
        return {one["Key"].rpartition("/")[2]: one["ETag"] for one in listed.get("Contents", [])}

    def read(self, location: str, most_bytes: int | None) -> bytes:
        """Returns the first bytes of an object, by one request."""
        return s3_reader.read(location, most_bytes)

    def open_input(self, location: str) -> pa.NativeFile:
        """Opens an object, which is no pipe and no device: nobody asks first."""
        filesystem, path = self.filesystem(location)
        return filesystem.open_input_stream(path)

    def write_new(self, location: str, data: bytes) -> None:
        """Writes an object where there is none, by a conditional put."""
        s3_client.put_new(location, data)

    def check_exclusive_writes(self, location: str) -> None:
        """Raises a FruitsError where S3 is not AWS's own and ignores ``If-None-Match``; asked once of each bucket."""
        s3_client.check_conditional_writes(location)

    def delete_files(self, directory: str, names: Iterable[str]) -> None:
        """Deletes objects, 1,000 with a request."""
        bucket, key = s3_address.bucket_and_key(directory)
        s3_client.delete_keys(bucket, [f"{key}/{name}" for name in names])

    def delete_directory(self, location: str) -> None:
        """Deletes every object below a prefix."""
        s3_client.delete_below(location)

    def delete_files_for_good(self, directory: str, names: Iterable[str]) -> None:
        """Deletes objects, with all versions where the role may do that, as a cluster's may not."""
        named = list(names)
        self.delete_files(directory, named)
        with suppress(FruitsError):
            for name in named:
                self.delete_for_good(f"{directory}/{name}")

    def delete_for_good(self, location: str) -> None:
        """Deletes all versions and delete markers of an object."""
        s3_versions.delete_versions(location, s3_versions.versions_of(location))

    def delete_if(self, location: str, goes: Callable[[str | None], bool]) -> None:
        """Deletes an object's versions, the one that a reader gets if its sha256 says so.

        In a bucket with versions, whatever is put in its place meanwhile stays.
        """
        # In this order: all that is listed is what is hashed then, or older.
        listed = s3_versions.versions_of(location)
        latest, sha256 = s3_versions.latest_of(location)
        s3_versions.delete_versions(location, [version for version in listed if version.version_id != latest])
        if latest is not None and goes(sha256):
            bucket, key = s3_address.bucket_and_key(location)
            s3_client.delete_objects(bucket, [{"Key": key, "VersionId": latest}])

    def delete_former_versions(self, directory: str) -> int:
        """Deletes what a bucket with versions keeps of objects that are no more."""
        former = (version for version in s3_versions.versions_below(directory) if version.former)
        return s3_versions.delete_versions(directory, former)

    def count_versions(self, location: str, only_former: bool) -> int:
        """Returns how many versions and delete markers there are of an object."""
        return sum(version.former or not only_former for version in s3_versions.versions_of(location))

    def object_store_uri(self, location: str) -> str:
        """Returns the location as a URI: a key may hold # and ?, which there mean something else."""
        return quote(location, safe="/:")

    def object_store_options(self, location: str) -> dict[str, str]:
        """Returns the endpoint, and credentials that are in memory alone."""
        return object_store.object_store_options(location)
