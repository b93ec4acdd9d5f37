"""An erased photo is in no answer once the erasure's command has ended, whatever the server has in memory."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spark_steps.store.store import Store
from tests.support.aws.s3_server import S3
from tests.support.project import PROJECT
from tests.support.serving.server import BIN, DEADLINE_SECONDS, FruitsServer, serving
from tests.support.serving.store import write_served_store

# The server looks for a new version once a day: it answers from what it has in memory.
NEVER = {"serve_refresh_seconds": "86400"}


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty_home, tmp_path / "home"))


def erase(home: Path, images: str, store: Store, *paths: str) -> None:
    named = [word for path in paths for word in ("--path", path)]
    subprocess.run(
        [BIN / "fruits", "erase", "--images", images, "--store", store.root, *named, "--yes"],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        cwd=PROJECT,
        check=True,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )


def traces_of(content: bytes, path: str, answer: object) -> list[str]:
    return [one for one in (path, hashlib.sha256(content).hexdigest()) if one in str(answer)]


def nearest(server: FruitsServer, photo: bytes, count: int = 10) -> list[str]:
    return [one["path"] for one in server.identify(photo, paths=True, count=count)["neighbours"]]


@pytest.mark.parametrize("exact_up_to", ["1000", "0"])
def test_an_erased_photo_is_in_no_answer_after_the_command_has_ended(
    store: Store, images: Path, home: Path, log: Path, exact_up_to: str
) -> None:
    content = (images / "Lemon" / "000.jpg").read_bytes()
    with serving(store, log, **NEVER, serve_exact_up_to=exact_up_to) as server:
        before = server.identify(content, paths=True)
        assert before["neighbours"][0]["path"] == "Lemon/000.jpg"
        assert before["verdict"]["distance"] < 1e-3
        assert before["search"] == ("exact" if exact_up_to == "1000" else "index")
        erase(home, str(images), store, "Lemon/000.jpg")
        after = server.identify(content, paths=True, count=32)
        # Its own id is that of the photo that was sent.
        assert after.pop("image_id") == hashlib.sha256(content).hexdigest()
        assert traces_of(content, "Lemon/000.jpg", after) == []
        assert after["photos_compared_with"] == 31
        assert len(after["neighbours"]) == 31
        assert after["verdict"]["distance"] == after["neighbours"][0]["distance"] > 1
        assert server.metric("erased_withheld_total") == 1


def test_all_photos_of_a_label_may_be_erased_at_once(store: Store, images: Path, home: Path, log: Path) -> None:
    content = (images / "Lemon" / "000.jpg").read_bytes()
    with serving(store, log, **NEVER) as server:
        assert server.identify(content)["verdict"]["candidates"][0] == "Lemon"
        erase(home, str(images), store, *(f"Lemon/{number:03d}.jpg" for number in range(4)))
        after = server.identify(content, count=1)
        assert "Lemon" not in str(after)
        assert after["photos_compared_with"] == 28


def test_a_copy_of_an_erased_photo_is_in_no_answer_either(
    images: Path, network_file: Path, home: Path, tmp_path: Path, log: Path
) -> None:
    shutil.copy(images / "Lemon" / "000.jpg", images / "Plum" / "copy.jpg")
    store = Store(str(tmp_path / "copies"))
    write_served_store(store, str(images), network_file)
    content = (images / "Lemon" / "000.jpg").read_bytes()
    with serving(store, log, **NEVER) as server:
        assert set(nearest(server, content)) >= {"Lemon/000.jpg", "Plum/copy.jpg"}
        erase(home, str(images), store, "Lemon/000.jpg")
        assert {"Lemon/000.jpg", "Plum/copy.jpg"}.isdisjoint(nearest(server, content, 32))


def test_the_same_holds_of_a_store_in_s3(s3: S3, sample: Path, network_file: Path, home: Path, log: Path) -> None:
    s3.put_folder(sample, "photos")
    images, store = f"{s3.bucket}/photos", Store(f"{s3.bucket}/store")
    write_served_store(store, images, network_file)
    content = (sample / "Lemon" / "000.jpg").read_bytes()
    with serving(store, log, **NEVER) as server:
        assert nearest(server, content)[0] == "Lemon/000.jpg"
        erase(home, images, store, f"{images}/Lemon/000.jpg")
        assert "Lemon/000.jpg" not in nearest(server, content, 32)


def test_where_nobody_can_know_what_was_erased_there_is_no_answer(store: Store, log: Path, photo: bytes) -> None:
    with serving(store, log, **NEVER) as server:
        Path(store.erasures).write_text("no directory")
        answer = server.client.post("/identify", content=photo)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert store.root not in answer.text
        Path(store.erasures).unlink()
        server.identify(photo)
