"""Who is answered: programs of this machine, pages of the server itself, and whoever has the token."""

import socket
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from spark_steps.store.store import Store
from tests.support.project import PROJECT
from tests.support.serving.server import BIN, FruitsServer, bearer, serving

TOKEN = "0123456789abcdef-a-token"  # noqa: S105
ANY_HOST = "0.0.0.0"  # noqa: S104


def test_without_a_host_it_listens_to_this_machine_alone(server: FruitsServer) -> None:
    addresses = {one.laddr.ip for one in psutil.Process(server.process.pid).net_connections() if one.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"host": "rebound.example:8000"}, 403),
        ({"host": "[::x"}, 403),
    ],
)
def test_pages_of_other_sites_and_rebound_names_are_refused(
    server: FruitsServer, photo: bytes, headers: dict[str, str], status: int
) -> None:
    assert server.client.post("/identify", content=photo, headers=headers).status_code == status


def test_its_own_page_may_ask(server: FruitsServer, photo: bytes) -> None:
    headers = {"origin": server.address, "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
    assert server.client.post("/identify", files={"photo": photo}, headers=headers).status_code == 200


def test_another_host_takes_a_token(sample_store: Store) -> None:
    done = started(sample_store, "--host", ANY_HOST)
    assert (done.returncode, "Give a token" in done.stderr) == (2, True)


@pytest.mark.parametrize("token", ["short", "with a space in the token", "ünïcödé-ünïcödé-ünïcödé"])
def test_a_token_that_is_no_good_is_refused_and_not_repeated(sample_store: Store, tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    done = started(sample_store, "--token-file", str(tmp_path / "token"))
    assert (done.returncode, "at least 16" in done.stderr, token in done.stderr) == (2, True, False)


def started(store: Store, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "fruits"), "serve", "--store", store.root, "--port", "0", *options]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("given", ["file", "variable"])
def test_only_requests_with_the_token_are_answered(
    sample_store: Store, log: Path, photo: bytes, tmp_path: Path, given: str
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    options = ["--host", "127.0.0.1", *(["--token-file", str(tmp_path / "token")] if given == "file" else [])]
    with serving(sample_store, log, *options, **({"serve_token": TOKEN} if given == "variable" else {})) as server:
        for headers in (
            {},
            bearer("wrong"),
            bearer(TOKEN[:-1]),
            {"authorization": TOKEN},
            {"authorization": "Basic x"},
        ):
            answer = server.client.post("/identify", content=photo, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for page in ("/", "/metrics", "/openapi.json", "/nothing"):
            assert server.client.get(page).status_code == 401
        for page in ("/healthz", "/readyz"):
            assert server.client.get(page).status_code == 200
        assert server.client.post("/identify", content=photo, headers=bearer(TOKEN)).status_code == 200
        assert server.client.get("/metrics", headers=bearer(TOKEN)).status_code == 200


def test_with_a_token_any_name_of_the_machine_is_answered(sample_store: Store, log: Path, photo: bytes) -> None:
    with serving(sample_store, log, "--host", ANY_HOST, serve_token=TOKEN) as server:
        address = server.address.replace(ANY_HOST, "127.0.0.1")
        headers = {**bearer(TOKEN), "host": "photos.example"}
        assert httpx.post(f"{address}/identify", content=photo, headers=headers).status_code == 200
        assert httpx.get(f"{address}/metrics", headers={"host": "photos.example"}).status_code == 401


def test_the_token_is_in_no_command_line_and_no_process_that_decodes(
    sample_store: Store, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key-of-aws")
    with serving(sample_store, log, serve_token=TOKEN) as server:
        main = psutil.Process(server.process.pid)
        for process in (main, *server.workers()):
            assert TOKEN not in " ".join(process.cmdline())
        assert server.workers()
        for worker in server.workers():
            assert {TOKEN, "a-key-of-aws"}.isdisjoint(worker.environ().values())
        assert TOKEN not in log.read_text()


def test_a_port_in_use_is_told(sample_store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = started(sample_store, "--port", str(other.getsockname()[1]))
    assert (done.returncode, "cannot listen on 127.0.0.1" in done.stderr) == (1, True)


def test_an_address_of_another_machine_is_told(sample_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_SERVE_TOKEN", TOKEN)
    done = started(sample_store, "--host", "192.0.2.1")
    assert (done.returncode, "cannot listen on 192.0.2.1" in done.stderr) == (1, True)


def test_a_store_that_is_not_there_ends_it_with_the_remedy(tmp_path: Path) -> None:
    done = started(Store(str(tmp_path / "nothing")))
    assert (done.returncode, "There is no store at" in done.stderr) == (1, True)
