"""Answers for photos: those of ``fruits identify``, in every form that a request may have."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fruits_assets.commands.cli import main
from spark_steps.store.store import Store
from tests.support.serving.server import FruitsServer


def by_the_command(photo: Path, store: Store, *options: str) -> Any:
    done = CliRunner().invoke(main, ["identify", str(photo), "--store", store.root, "--json", *options])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    (one,) = document.pop("photos")
    del one["photo"]
    return {**document, **one}


@pytest.mark.parametrize("count", [1, 10, 40])
def test_an_answer_has_the_names_and_numbers_of_the_command(
    server: FruitsServer, sample_store: Store, photo: bytes, tmp_path: Path, count: int
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo)
    expected = by_the_command(tmp_path / "photo.jpg", sample_store, "--neighbours", str(count))
    answer = server.identify(photo, count=count, reduced=True, paths=True)
    assert {name: answer[name] for name in expected} == expected
    assert answer["search"] == "exact"
    assert answer["network"] == sample_store.existing_pca_model().features_model
    assert answer["tables"] == {
        "mobilenet_features": sample_store.mobilenet_features.snapshot().version,
        "reduced_features": sample_store.reduced_features.snapshot().version,
    }


def test_an_answer_names_no_photo_unless_it_is_asked_to(server: FruitsServer, photo: bytes) -> None:
    answer = server.identify(photo)
    assert "reduced" not in answer
    assert [set(one) for one in answer["neighbours"]] == [{"distance", "label"}] * 10
    assert {name for one in answer["labels"] for name in one} == {"label", "distance", "photos"}
    assert ".jpg" not in json.dumps(answer)


def test_a_photo_may_be_the_body_or_a_file_of_a_form(server: FruitsServer, photo: bytes) -> None:
    raw = server.identify(photo)
    for files in ({"photo": photo}, {"anything": ("name.jpg", photo)}, {"photo": ("été.jpg", photo, "image/jpeg")}):
        answer = server.client.post("/identify", files=files, data={"note": "of a form"})
        assert answer.json() == raw
    typed = {"content-type": "application/x-www-form-urlencoded"}
    assert server.client.post("/identify", content=photo, headers=typed).json() == raw


def test_a_body_of_unknown_length_is_read(server: FruitsServer, photo: bytes) -> None:
    parts = (photo[start : start + 1000] for start in range(0, len(photo), 1000))
    assert server.client.post("/identify", content=parts).json() == server.identify(photo)


def test_a_photo_that_cannot_be_decoded_is_refused_with_the_reason(server: FruitsServer, photo: bytes) -> None:
    for body, reason in ((b"no photo", "not an image: "), (photo[: len(photo) // 2], "truncated: ")):
        answer = server.client.post("/identify", content=body)
        assert (answer.status_code, answer.json()["error"][: len(reason)]) == (422, reason)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"content": b""}, "There is no photo in the request"),
        ({"files": [("a", b"1"), ("b", b"2")]}, "The form has 2 files"),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "has no boundary"),
        (
            {"content": b"--y\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            "The form is malformed",
        ),
        ({"files": [(str(number), b"1") for number in range(17)]}, "more than 16 parts"),
        ({"content": b"x", "params": {"count": 0}}, "count: "),
        ({"content": b"x", "params": {"count": 101}}, "count: "),
        ({"content": b"x", "params": {"reduced": "perhaps"}}, "reduced: "),
    ],
)
def test_a_malformed_request_is_told_what_to_send(server: FruitsServer, options: dict[str, Any], sentence: str) -> None:
    answer = server.client.post("/identify", **options)
    assert (answer.status_code, sentence in answer.json()["error"]) == (400, True), answer.text


def test_other_pages_and_methods_are_refused_in_a_sentence(server: FruitsServer) -> None:
    assert server.client.get("/nothing").json() == {"error": "Not Found"}
    answer = server.client.get("/identify")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_many_photos_at_a_time_get_the_answers_that_each_gets_alone(server: FruitsServer, sample: Path) -> None:
    photos = [file.read_bytes() for file in sorted(sample.rglob("*.jpg"))[::4]]
    alone = [server.identify(photo) for photo in photos]

    async def ask_all() -> list[Any]:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            answers = await asyncio.gather(*(client.post("/identify", content=photo) for photo in photos))
        return [answer.json() for answer in answers]

    assert asyncio.run(ask_all()) == alone


def test_a_photo_of_a_phone_is_answered(server: FruitsServer) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (750, 1000, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((4000, 3000)).save(buffer, "JPEG", quality=85)
    assert server.identify(buffer.getvalue())["photos_compared_with"] == 32
