"""Which weights are those of a store's network, and which are none."""

from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.features.weights import is_network_of, load_model

CURRENT = {"source": "random:0", "weights_sha256": "numbers", "flatbuffer": "network"}


@pytest.mark.parametrize(
    ("source", "key", "flatbuffer", "same"),
    [
        ("random:0", "random-0", None, True),
        ("random:1", "random-1", None, False),
        ("imagenet", None, None, False),
        ("/a/file.h5", "numbers", None, True),
        ("/a/file.tflite", "another", "network", True),
        ("/a/file.tflite", "another", "another", False),
    ],
)
def test_weights_are_the_stores_own_by_their_bytes_or_by_the_network_that_they_give(
    source: str, key: str | None, flatbuffer: str | None, same: bool
) -> None:
    assert is_network_of(source, key, flatbuffer, CURRENT) == same


def test_the_same_weights_with_another_scaling_are_another_network() -> None:
    raw = {**CURRENT, "source": "/a/file.h5", "network": {"scaling": "raw"}}
    assert is_network_of("/a/file.h5", "numbers", None, raw, "raw")
    assert not is_network_of("/a/file.h5", "numbers", None, raw)
    assert not is_network_of("/a/file.h5", "numbers", None, CURRENT, "raw")


def test_a_file_of_the_same_name_and_other_bytes_is_another_network() -> None:
    current = {**CURRENT, "source": "/a/file.h5"}
    assert not is_network_of("/a/file.h5", "another", None, current)
    assert is_network_of("imagenet", None, None, {**CURRENT, "source": "imagenet"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.h5", "There is no weights file .*nowhere.h5"),
        ("weights.txt", "none of: imagenet, random:<seed>"),
        ("random:many", "names no seed"),
        ("random:-1", "names no seed"),
    ],
)
def test_weights_that_cannot_be_are_refused_with_the_remedy(source: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match=message):
        load_model(source, str(tmp_path))
