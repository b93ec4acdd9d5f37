"""A store of generated photos, and one server of it for the tests that change nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_steps.store.store import Store
from tests.support.serving.server import FruitsServer, serving
from tests.support.serving.store import write_served_store


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An images root with eight folders of four generated photos, which no test changes."""
    from fruits_assets.sample_photos import write_sample

    images = tmp_path_factory.mktemp("sample") / "photos"
    write_sample(images, photos_per_folder=4)
    return images


@pytest.fixture(scope="session")
def sample_store(sample: Path, network_file: Path) -> Store:
    """A store of these photos, which no test changes."""
    store = Store(str(sample.parent / "store"))
    write_served_store(store, str(sample), network_file)
    return store


@pytest.fixture(scope="module")
def server(sample_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FruitsServer]:
    """A server of this store with all settings as they are."""
    with serving(sample_store, tmp_path_factory.mktemp("log") / "log") as started:
        yield started


@pytest.fixture
def images(sample: Path, tmp_path: Path) -> Path:
    """A copy of the photos."""
    return Path(shutil.copytree(sample, tmp_path / "photos"))


@pytest.fixture
def store(images: Path, network_file: Path, tmp_path: Path) -> Store:
    """A store of the copy."""
    made = Store(str(tmp_path / "store"))
    write_served_store(made, str(images), network_file)
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A photo that is not in the store."""
    from fruits_assets.sample_photos import write_sample

    other = tmp_path_factory.mktemp("other")
    write_sample(other, photos_per_folder=1, seed=1)
    return (other / "Lemon" / "000.jpg").read_bytes()
