"""How often S3 is asked, and for how much at a time: counted at a server, before which there may be a late proxy."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.studies.latency_proxy import LatencyServer, forward_to
from benchmarks.studies.static_s3 import StaticS3
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import find_photos, list_image_folders
from spark_steps.storage import locations
from tests.support.aws.s3_server import S3

Serve = Callable[..., LatencyServer]


@pytest.fixture
def serve(no_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server of objects that all hold the same 400 bytes, and makes it this process's S3."""
    file = tmp_path / "object"
    file.write_bytes(os.urandom(400))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with ExitStack() as stack:

        def start(keys: list[str], seconds: float = 0, fail_every: int = 0) -> LatencyServer:
            objects = StaticS3(dict.fromkeys(keys, file))
            server = stack.enter_context(LatencyServer(objects, seconds, fail_every=fail_every))
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
            return server

        yield start


def photos(count: int, length: int = 400) -> list[tuple[str, int]]:
    return [(f"s3://bucket/Apple/{number:04d}.jpg", length) for number in range(count)]


def keys(count: int) -> list[str]:
    return [f"Apple/{number:04d}.jpg" for number in range(count)]


def test_each_photo_is_asked_for_once_and_nothing_else_is(serve: Serve, tmp_path: Path) -> None:
    server = serve(keys(200), seconds=0.005)
    assert set(fetch(photos(200), FetchLimits())) == {(tmp_path / "object").read_bytes()}
    assert sorted(server.requests) == [f"GET /bucket/{key}" for key in keys(200)]


def test_as_many_photos_are_under_way_as_the_limits_allow(serve: Serve) -> None:
    server = serve(keys(60), seconds=0.05)
    list(fetch(photos(60), FetchLimits(photos=12)))
    assert server.most_at_once == 12


def test_as_many_bytes_are_under_way_as_the_limits_allow(serve: Serve) -> None:
    server = serve(keys(60), seconds=0.05)
    list(fetch(photos(60), FetchLimits(photos=32, total_bytes=5 * 400 + 399)))
    assert server.most_at_once == 5


def test_what_s3_throttles_is_asked_for_again_and_no_photo_is_lost(serve: Serve, tmp_path: Path) -> None:
    server = serve(keys(30), fail_every=4)
    assert set(fetch(photos(30), FetchLimits())) == {(tmp_path / "object").read_bytes()}
    assert len(server.requests) == 30 + len(server.requests) // 4


@pytest.mark.parametrize(("folders", "each"), [(1, 2500), (25, 100)])
def test_a_listing_takes_a_request_for_a_thousand_photos_and_one_for_each_folder(
    serve: Serve, folders: int, each: int
) -> None:
    names = [f"F{number:02d}" for number in range(folders)]
    server = serve([f"Test/{name}/{number:04d}.jpg" for name in names for number in range(each)])
    assert list_image_folders("s3://bucket/Test").photos == dict.fromkeys(names, each)
    of_the_root, of_all_objects = 2, 3
    assert len(server.requests) == of_the_root + of_all_objects
    server.requests.clear()
    found = find_photos("s3://bucket/Test", names, 1000)
    assert sum(rows.num_rows for rows in found.rows.values()) == 2500
    assert len(server.requests) == of_the_root + folders * -(-each // 1000)


def test_the_proxy_passes_on_what_an_s3_says(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("a b/1.jpg", b"photo")
    address = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    with LatencyServer(forward_to(str(address.hostname), address.port or 80), 0.01, jitter=0.5) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        assert locations.read_bytes(f"{s3.bucket}/a b/1.jpg") == b"photo"
        assert list_image_folders(s3.bucket).photos == {"a b": 1}
