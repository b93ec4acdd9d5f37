"""A newer version of the store answers without a restart, and a broken one leaves the version before it in place."""

import shutil
from pathlib import Path

from spark_steps.store.store import Store
from tests.support.serving.server import serving
from tests.support.serving.store import write_served_store

OFTEN = {"serve_refresh_seconds": "0.2"}


def test_new_photos_and_a_new_model_are_picked_up(
    store: Store, images: Path, network_file: Path, log: Path, photo: bytes
) -> None:
    with serving(store, log, **OFTEN) as server:
        assert server.identify(photo)["photos_compared_with"] == 32
        workers = server.workers()
        shutil.copytree(images / "Lemon", images / "Melon")
        model = write_served_store(store, str(images), network_file, components=6)
        server.wait_for(lambda: server.client.get("/readyz").json()["pca_model"] == model.version)
        server.wait_for(lambda: server.identify(photo)["photos_compared_with"] == 36)
        assert len(server.identify(photo, reduced=True)["reduced"]) == 6
        # The network is the same, and so are its processes.
        assert server.workers() == workers


def test_a_new_network_has_new_processes(
    store: Store, images: Path, other_network_file: Path, log: Path, photo: bytes
) -> None:
    with serving(store, log, **OFTEN) as server:
        before, workers = server.identify(photo), server.workers()
        model = write_served_store(store, str(images), other_network_file)
        server.wait_for(lambda: server.client.get("/readyz").json()["pca_model"] == model.version)
        assert server.identify(photo)["network"] == model.features_model != before["network"]
        server.wait_for(lambda: not any(worker.is_running() for worker in workers))


def break_store(store: Store) -> str:
    """Names a PCA model that is not there, and returns what named the one that is."""
    current = Path(store.pca_models) / "current.json"
    content = current.read_text()
    current.write_text('{"version": "0000000000000000"}')
    return content


def test_a_broken_version_leaves_the_one_before_it_and_is_told(store: Store, log: Path, photo: bytes) -> None:
    with serving(store, log, **OFTEN) as server:
        before = server.identify(photo)
        content = break_store(store)
        server.wait_for(lambda: server.metric("store_broken") == 1)
        state = server.client.get("/readyz")
        assert (state.status_code, "cannot be loaded" in state.json()["problem"]) == (200, True)
        assert store.root not in state.text
        assert "There is no PCA model 0000000000000000" in server.log
        assert server.identify(photo) == before
        failed = server.metric("store_loads_total", outcome="failed")
        assert failed >= 1
        (Path(store.pca_models) / "current.json").write_text(content)
        server.wait_for(lambda: server.client.get("/readyz").json()["problem"] is None)
        assert server.metric("store_broken") == server.metric("store_outdated") == 0
        assert server.identify(photo) == before


def test_a_store_that_is_gone_leaves_the_answers_in_place(store: Store, log: Path, photo: bytes) -> None:
    with serving(store, log, **OFTEN) as server:
        before = server.identify(photo)
        shutil.move(store.root, f"{store.root}-away")
        server.wait_for(lambda: server.client.get("/readyz").json()["problem"] is not None)
        assert server.identify(photo) == before


def test_a_version_that_changes_no_photo_is_not_read_again(store: Store, log: Path, photo: bytes) -> None:
    with serving(store, log, **OFTEN) as server:
        before = server.identify(photo)
        store.reduced_features.log.set_property("fruits.test", "x", None)
        version = store.reduced_features.snapshot().version
        server.wait_for(lambda: server.client.get("/readyz").json()["tables"]["reduced_features"] == version)
        assert server.metric("store_loads_total", outcome="loaded") == 1
        assert server.identify(photo)["neighbours"] == before["neighbours"]


def test_in_the_middle_of_a_run_the_version_before_it_answers(
    store: Store, images: Path, network_file: Path, log: Path, photo: bytes
) -> None:
    with serving(store, log, **OFTEN) as server:
        before = server.identify(photo)
        write_served_store(store, str(images), network_file, components=6, reduce=False)
        server.wait_for(lambda: server.metric("store_outdated") == 1)
        assert "waits for the run" in server.client.get("/readyz").json()["problem"]
        assert server.identify(photo) == before
        model = write_served_store(store, str(images), network_file, components=6)
        server.wait_for(lambda: server.client.get("/readyz").json()["pca_model"] == model.version)
        assert server.metric("store_outdated") == 0
