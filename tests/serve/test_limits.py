"""What is too large, too slow, too much or too costly is refused in a sentence, and the server goes on."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from spark_steps.store.store import Store
from tests.support.serving.server import FruitsServer, serving

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def small(sample_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FruitsServer]:
    """A server that takes little and waits for a second."""
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(
        sample_store, log, cores="1", serve_waiting="1", serve_seconds="1", max_photo_megabytes="1"
    ) as started:
        yield started


@pytest.fixture(scope="module")
def patient(sample_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FruitsServer]:
    """A server with one place to work and one to wait."""
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(sample_store, log, cores="1", serve_waiting="1", serve_seconds="60") as started:
        yield started


def answer_to(server: FruitsServer, request: bytes, then: Callable[[socket.socket], None] = lambda _: None) -> bytes:
    """Sends bytes on a connection of their own, and returns what comes back until it is closed."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(request)
        then(connection)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(**headers: str) -> bytes:
    lines = ["POST /identify HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_that_is_declared_too_long_is_refused_before_it_is_sent(small: FruitsServer) -> None:
    answer = answer_to(small, head(**{"content-length": str(2 * MEBIBYTE), "expect": "100-continue"}))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"The photo is larger than 1 MB." in answer


@pytest.mark.parametrize("length", [2 * MEBIBYTE, 50 * MEBIBYTE])
def test_a_client_that_sends_too_much_gets_the_answer(small: FruitsServer, length: int) -> None:
    assert small.client.post("/identify", content=bytes(length)).status_code == 413
    chunks = (bytes(MEBIBYTE // 4) for _ in range(4 * length // MEBIBYTE))
    assert small.client.post("/identify", content=chunks).status_code == 413
    assert small.metric("held_bytes") == 0


def test_a_photo_in_a_form_may_be_as_long_as_a_photo_alone(small: FruitsServer, photo: bytes) -> None:
    padded = photo + bytes(MEBIBYTE - len(photo))
    assert small.client.post("/identify", content=padded).status_code == 200
    assert small.client.post("/identify", files={"photo": padded}).status_code == 200
    assert small.client.post("/identify", files={"photo": padded + b"\0"}).status_code == 413


@pytest.mark.parametrize("length", ["1000", None])
def test_a_client_that_sends_slowly_is_cut_off(small: FruitsServer, length: str | None) -> None:
    headers = {"content-length": length} if length else {"transfer-encoding": "chunked"}
    answer = answer_to(small, head(**headers) + b"4\r\nabcd\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 1 s" in answer


@pytest.mark.parametrize("begin", [b"", b"POST /identify HTTP/1.1\r\nhost: 127.0.0.1\r\nx-"])
def test_a_client_that_never_ends_its_headers_is_cut_off(small: FruitsServer, begin: bytes) -> None:
    assert answer_to(small, begin).startswith(b"HTTP/1.1 408 ")


def test_headers_without_an_end_are_refused(small: FruitsServer) -> None:
    assert answer_to(small, head()[:-4] + b"x" * 100_000).startswith(b"HTTP/1.1 400 ")


def in_background(ask: Callable[[], httpx.Response]) -> Future[httpx.Response]:
    return ThreadPoolExecutor(1).submit(ask)


def test_requests_beyond_those_that_may_wait_are_told_to_ask_again(patient: FruitsServer, photo: bytes) -> None:
    (worker,) = patient.workers()
    worker.suspend()
    try:
        working = in_background(lambda: httpx.post(f"{patient.address}/identify", content=photo, timeout=120))
        patient.wait_for(lambda: patient.metric("at_work") == 1)
        waiting = in_background(lambda: httpx.post(f"{patient.address}/identify", content=photo, timeout=120))
        patient.wait_for(lambda: patient.metric("waiting") == 1)
        refused = patient.client.post("/identify", content=photo)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert patient.client.get("/healthz").status_code == 200
    finally:
        worker.resume()
    assert [one.result().status_code for one in (working, waiting)] == [200, 200]


def test_a_request_that_waits_too_long_is_told_to_ask_again(small: FruitsServer, photo: bytes) -> None:
    # The one at work is given up after a second, too: its process hangs.
    (worker,) = small.workers()
    worker.suspend()
    working = in_background(lambda: httpx.post(f"{small.address}/identify", content=photo, timeout=120))
    small.wait_for(lambda: small.metric("at_work") == 1)
    answers = {small.client.post("/identify", content=photo).status_code, working.result().status_code}
    assert answers <= {200, 422, 429}
    assert 422 in answers


def test_a_photo_that_hangs_its_decoder_costs_one_request(small: FruitsServer, photo: bytes) -> None:
    (worker,) = small.workers()
    lost = small.metric("workers_lost_total")
    worker.suspend()
    answer = small.client.post("/identify", content=photo)
    assert (answer.status_code, "not decoded within 1 s" in answer.json()["error"]) == (422, True)
    assert small.metric("workers_lost_total") == lost + 1
    small.wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert small.client.post("/identify", content=photo).status_code == 200


def test_a_photo_that_ends_its_decoder_costs_one_request(patient: FruitsServer, photo: bytes) -> None:
    (worker,) = patient.workers()
    worker.suspend()
    working = in_background(lambda: httpx.post(f"{patient.address}/identify", content=photo, timeout=120))
    patient.wait_for(lambda: patient.metric("at_work") == 1)
    worker.send_signal(signal.SIGKILL)
    answer = working.result()
    assert (answer.status_code, "ended its decoder" in answer.json()["error"]) == (422, True)
    assert patient.identify(photo)["photos_compared_with"] == 32


def test_bodies_that_arrive_take_no_more_memory_than_they_may(sample_store: Store, log: Path, photo: bytes) -> None:
    settings = {"serve_megabytes": "1", "max_photo_megabytes": "1", "serve_seconds": "60"}
    with serving(sample_store, log, **settings) as server:
        arrived = threading.Event()

        def slowly() -> Iterator[bytes]:
            yield photo + bytes(MEBIBYTE - len(photo) - 1000)
            arrived.wait(60)
            yield bytes(1000)

        first = in_background(lambda: httpx.post(f"{server.address}/identify", content=slowly(), timeout=120))
        server.wait_for(lambda: server.metric("held_bytes") > MEBIBYTE / 2)
        refused = server.client.post("/identify", content=photo + bytes(MEBIBYTE // 2))
        arrived.set()
        assert refused.status_code == 429
        assert first.result().status_code == 200
        assert server.metric("held_bytes") == 0
