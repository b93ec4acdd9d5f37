"""Bodies that are made to do harm: each is answered, no process ends, and memory does not grow with their number."""

from collections import Counter

import psutil

from benchmarks.load.hostile import hostile_requests
from tests.support.serving.server import FruitsServer


def send(server: FruitsServer, seed: int, count: int) -> Counter[int]:
    return Counter(
        server.client.post("/identify", content=body, headers={"content-type": kind}).status_code
        for kind, body in hostile_requests(seed, count)
    )


def bytes_of(server: FruitsServer) -> int:
    return sum(one.memory_info().rss for one in (psutil.Process(server.process.pid), *server.workers()))


def test_hostile_bodies_end_nothing_and_leave_nothing(server: FruitsServer, photo: bytes) -> None:
    expected, workers = server.identify(photo), server.workers()
    first = send(server, 0, 150)
    before = bytes_of(server)
    second = send(server, 1, 150)
    assert set(first + second) <= {200, 400, 413, 422}
    assert (first + second)[422] > 100
    assert (first + second)[400] > 5
    assert server.workers() == workers
    assert bytes_of(server) < before + 64 * 1024 * 1024
    assert server.identify(photo) == expected
