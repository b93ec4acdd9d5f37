"""The reading half of S3 over files of this machine, fast enough not to be what is measured.

GET (with one Range) and HEAD of objects, and ListObjectsV2 in pages of 1,000. Any bucket holds the same objects;
nothing is checked, and nothing can be written.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from benchmarks.studies.latency_proxy import Request, response

_PAGE = 1000
_LAST = chr(0x10FFFF)
_NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"


def objects_below(folder: Path) -> dict[str, Path]:
    """Returns the files below a folder by their keys, their paths relative to it."""
    return {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}


class StaticS3:
    """Answers for the objects of a mapping from keys to files; several keys may name one file."""

    def __init__(self, objects: Mapping[str, Path]) -> None:
        self._objects = objects
        self._keys = sorted(objects)
        status = {file: file.stat() for file in set(objects.values())}
        self._about = {file: (one.st_size, datetime.fromtimestamp(one.st_mtime, UTC)) for file, one in status.items()}

    async def __call__(self, request: Request) -> bytes:
        """Returns the answer to a request."""
        path, _, query = request.target.partition("?")
        key = unquote(path.lstrip("/").partition("/")[2])
        if not key and "list-type=2" in query:
            return self._listing(dict(parse_qsl(query, keep_blank_values=True)))
        if not key and request.method == "HEAD":
            return response(200, b"", {}, head=True)
        if key not in self._objects:
            return response(404, _NO_SUCH_KEY, head=request.method == "HEAD")
        return self._object(self._objects[key], request)

    def _object(self, file: Path, request: Request) -> bytes:
        modified = self._about[file][1]
        headers = {"ETag": '"0"', "Accept-Ranges": "bytes", "Last-Modified": format_datetime(modified, usegmt=True)}
        data = file.read_bytes()
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return response(206, data[first : last + 1], headers)
        return response(200, data, headers, head=request.method == "HEAD")

    def _listing(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(int(query.get("max-keys", _PAGE)), _PAGE)
        after = query.get("continuation-token") or query.get("start-after") or ""
        name: Callable[[str], str] = quote if query.get("encoding-type") == "url" else escape
        place = bisect_right(self._keys, after) if after >= prefix else bisect_left(self._keys, prefix)
        found: list[str] = []
        last = ""
        while place < len(self._keys) and self._keys[place].startswith(prefix) and len(found) < most:
            key = self._keys[place]
            directory, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if slash:
                common = prefix + directory + delimiter
                found.append(f"<CommonPrefixes><Prefix>{name(common)}</Prefix></CommonPrefixes>")
                last = common + _LAST
                place = bisect_left(self._keys, last)
            else:
                found.append(self._contents(key, name(key)))
                last = key
                place += 1
        truncated = place < len(self._keys) and self._keys[place].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if truncated else ""
        text = (
            f"<ListBucketResult><Prefix>{name(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>{token}"
            f"{'<EncodingType>url</EncodingType>' if name is quote else ''}{''.join(found)}</ListBucketResult>"
        )
        return response(200, text.encode(), {"Content-Type": "application/xml"})

    def _contents(self, key: str, name: str) -> str:
        size, modified = self._about[self._objects[key]]
        return (
            f"<Contents><Key>{name}</Key><LastModified>{modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f'<ETag>"0"</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>'
        )
