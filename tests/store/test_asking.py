"""Other weights than a store's own: asked for before they replace all features, and never by surprise."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from fruits_assets.commands.support.asking import agree_to_other_weights
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.features.weights import MobileNetModel, load_model, make_current, replaced_network
from spark_steps.store.store import Store
from tests.support.small_store import contents_below, make_photos, write_photos, write_rows


def test_what_a_store_would_lose_is_told_from_its_cache_without_a_conversion(
    network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, copy, other = str(tmp_path / "cache"), tmp_path / "copy.tflite", tmp_path / "other.tflite"
    assert replaced_network(str(network_file), cache) is None
    make_current(load_model(str(network_file), cache), cache)
    copy.write_bytes(network_file.read_bytes())
    other.write_bytes(network_file.read_bytes() + b"x")
    before = sorted(Path(cache).iterdir())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))
    assert replaced_network(str(copy), cache) is None
    assert [replaced_network(source, cache) for source in (str(other), "random:7", "imagenet")] == [
        str(network_file)
    ] * 3
    assert sorted(Path(cache).iterdir()) == before


@pytest.fixture
def full(tmp_path: Path, network: MobileNetModel) -> Settings:
    """A store of six photos with the network random:0."""
    images, store = str(tmp_path / "images"), Store(str(tmp_path / "store"))
    photos = make_photos(images, ["Fig", "Kiwi"], 3)
    write_photos(photos)
    write_rows(store, photos)
    make_current(network, store.mobilenet_models)
    return read_settings(images=images, store=store.root, weights="random:1")


def test_without_a_terminal_other_weights_are_refused_with_the_number_of_photos_and_the_way_out(full: Settings) -> None:
    with pytest.raises(
        FruitsError, match=r"has the network random:0\. With the weights random:1 6 photos .* Add --yes"
    ):
        agree_to_other_weights(full, yes=False)


def test_nothing_is_asked_where_nothing_is_replaced_or_somebody_has_agreed(full: Settings, tmp_path: Path) -> None:
    agree_to_other_weights(full, yes=True)
    agree_to_other_weights(full.model_copy(update={"weights": None}), yes=False)
    agree_to_other_weights(full.model_copy(update={"weights": "random:0"}), yes=False)
    agree_to_other_weights(full.model_copy(update={"store": str(tmp_path / "new")}), yes=False)


def test_weights_that_are_malformed_or_missing_are_refused_before_anybody_is_asked(full: Settings) -> None:
    with pytest.raises(CalledWronglyError, match="are none of"):
        agree_to_other_weights(full.model_copy(update={"weights": "weights.txt"}), yes=False)
    with pytest.raises(FruitsError, match="There is no weights file"):
        agree_to_other_weights(full.model_copy(update={"weights": "/nowhere.h5"}), yes=False)


def test_at_a_terminal_the_answer_no_changes_nothing_and_takes_neither_tensorflow_nor_dagster(
    full: Settings, tmp_path: Path
) -> None:
    program = (
        "import sys\nfrom fruits_assets.commands.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print([name for name in ('tensorflow', 'dagster') if name in sys.modules])"
    )
    before = contents_below(full.store)
    terminal, its_end = pty.openpty()
    os.write(terminal, b"n\n")
    places = ["--images", full.images, "--store", full.store, "--weights", "random:1"]
    done = subprocess.run(
        [sys.executable, "-c", program, "run", *places],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
        stdin=its_end,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(terminal)
    os.close(its_end)
    assert done.returncode == 1
    assert "6 photos go through the network again, and all of their features are replaced.\nGo on? [y/N]" in done.stderr
    assert "Aborted!" in done.stderr
    assert done.stdout.strip() == "[]"
    assert contents_below(full.store) == before
