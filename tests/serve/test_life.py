"""Starting, stopping, and what stays behind: no photo, no name, no process."""

import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from spark_steps.store.store import Store
from tests.support.serving.server import FruitsServer, serving

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \d{3} \d+ ms \d+ bytes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_it_ends(
    sample_store: Store, log: Path, photo: bytes, number: signal.Signals
) -> None:
    with serving(sample_store, log, cores="1") as server:
        (worker,) = server.workers()
        worker.suspend()
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(lambda: httpx.post(f"{server.address}/identify", content=photo, timeout=60))
            server.wait_for(lambda: server.metric("at_work") == 1)
            server.client.close()
            server.process.send_signal(number)
            # A terminal sends an interrupt to all processes of its group.
            worker.send_signal(signal.SIGINT)
            worker.resume()
            assert working.result().status_code == 200
        assert server.process.wait(60) == 0
        assert not worker.is_running()


def test_no_process_stays_where_it_is_killed(sample_store: Store, log: Path) -> None:
    with serving(sample_store, log) as server:
        workers = server.workers()
        assert workers
        server.process.kill()
        server.process.wait()
        _, alive = psutil.wait_procs(workers, 30)
        assert alive == []


def test_it_is_alive_before_it_is_ready(sample_store: Store, log: Path, photo: bytes) -> None:
    server = FruitsServer(sample_store, log)
    try:
        answers = [server.client.get("/healthz"), server.client.get("/readyz")]
        assert answers[0].json() == {"alive": True}
        assert answers[1].status_code in (200, 503)
        assert answers[1].json()["ready"] == (answers[1].status_code == 200)
        server.wait_until_ready()
        assert server.identify(photo)["photos_compared_with"] == 32
    finally:
        server.stop(signal.SIGKILL)


def test_a_line_of_the_log_names_nothing(sample_store: Store, log: Path, photo: bytes) -> None:
    with serving(sample_store, log) as server:
        server.client.post("/identify?secret=query", files={"photo": ("secret.jpg", photo)})
        server.client.get("/secret-page", headers={"x-secret": "1", "user-agent": "secret"})
        server.client.post("/identify", content=b"secret")
        server.stop()
    first, *lines = [line for line in log.read_text().splitlines() if " 503 " not in line]
    assert first.startswith("Loaded 32 photos of PCA model ") or re.fullmatch(LINE, first)
    assert [line for line in lines if not (re.fullmatch(LINE, line) or line.startswith("Loaded "))] == []
    assert [line.split()[1] for line in lines if "bytes" in line][-3:] == ["200", "404", "422"]
    assert "secret" not in log.read_text()


def test_no_file_is_written_for_a_photo(
    sample_store: Store, log: Path, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = {file: file.stat().st_mtime_ns for file in Path(sample_store.root).rglob("*")}
    with serving(sample_store, log) as server:
        large = photo + bytes(2_000_000)
        for _ in range(3):
            server.client.post("/identify", files={"photo": large})
            server.client.post("/identify", content=large)
        open_files = [
            one.path
            for process in (psutil.Process(server.process.pid), *server.workers())
            for one in process.open_files()
        ]
        assert [path for path in open_files if str(scratch) in path] == []
        assert list(scratch.rglob("*")) == []
    assert {file: file.stat().st_mtime_ns for file in Path(sample_store.root).rglob("*")} == before


def test_the_server_imports_neither_dagster_nor_spark() -> None:
    unwanted = ("dagster", "pyspark", "tensorflow", "pandas", "boto3")
    look = f"sys.exit(' '.join(name for name in {unwanted} if name in sys.modules) or 0)"
    command = [sys.executable, "-c", f"import sys, fruits_assets.serving.server, fruits_assets.commands.serve\n{look}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_takes_nothing_from_another_host(server: FruitsServer) -> None:
    answer = server.client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.findall(r"(?:src|href|action)=\"([^\"]*)\"", answer.text) == ["/identify", "/openapi.json"]
    assert "://" not in answer.text
    for named in ("POST /identify", "count", "verdict", "photos_compared_with", "413"):
        assert named in answer.text


def test_prometheus_reads_the_metrics(server: FruitsServer, photo: bytes) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    answered = server.metric("requests_total", status="200")
    server.identify(photo)
    assert server.metric("requests_total", status="200") > answered
    text = server.client.get("/metrics").text
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found["fruits_serve_photos"].samples[0].value == 32
    assert found["fruits_serve_search_exact"].samples[0].value == 1
    assert found["process_resident_memory_bytes"].samples[0].value > 0
    assert "Lemon" not in text


def test_the_schema_is_served(server: FruitsServer) -> None:
    schema = json.loads(server.client.get("/openapi.json").text)
    assert set(schema["paths"]) == {"/identify", "/healthz", "/readyz", "/metrics"}
    assert set(schema["paths"]["/identify"]["post"]["requestBody"]["content"]) == {
        "application/octet-stream",
        "image/*",
        "multipart/form-data",
    }
