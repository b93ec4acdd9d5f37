"""Who waits, what is loaded when, who is answered, and what is written about it."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from fruits_assets.serving.admission import BusyError, Queue
from fruits_assets.serving.guard import has_token, is_of_another_site
from fruits_assets.serving.page import page_of
from fruits_assets.serving.responses import line_of
from fruits_assets.serving.served import PATIENCE_SECONDS, Step, StoreVersion, Watch
from fruits_assets.serving.server import check_token
from fruits_assets.settings import read_settings
from spark_steps.errors import CalledWronglyError

ONE = StoreVersion("a", (("reduced_features", 1),), frozenset({"x"}))
SAME_PHOTOS = StoreVersion("a", (("reduced_features", 2),), frozenset({"x"}))
OTHER = StoreVersion("b", (("reduced_features", 2),), frozenset({"x", "y"}))
TOKEN = "0123456789abcdef"  # noqa: S105


@pytest.mark.parametrize(
    ("watch", "served", "newest", "step"),
    [
        (Watch(), None, ONE, Step.LOAD),
        (Watch(), ONE, ONE, Step.NOTHING),
        (Watch(), ONE, SAME_PHOTOS, Step.RELABEL),
        (Watch(), ONE, OTHER, Step.LOAD_IF_WHOLE),
        (Watch(outdated_since=100.0), ONE, OTHER, Step.LOAD_IF_WHOLE),
        (Watch(outdated_since=100.0 - PATIENCE_SECONDS), ONE, OTHER, Step.LOAD),
        (Watch(broken=OTHER), ONE, OTHER, Step.NOTHING),
        (Watch(broken=SAME_PHOTOS), ONE, OTHER, Step.LOAD_IF_WHOLE),
        (Watch(broken=OTHER), ONE, ONE, Step.NOTHING),
    ],
)
def test_a_newer_version_is_loaded_when_it_is_whole_or_has_been_waited_for(
    watch: Watch, served: StoreVersion | None, newest: StoreVersion, step: Step
) -> None:
    assert watch.next_step(served, newest, 100.0) == step


def test_as_many_requests_work_and_wait_as_may() -> None:
    async def try_it() -> list[str]:
        queue, release, outcomes = Queue(at_work=2, waiting=1), asyncio.Event(), []

        async def request(name: str) -> None:
            try:
                async with queue.place(60):
                    outcomes.append(f"{name} works beside {queue.at_work - 1}")
                    await release.wait()
            except BusyError:
                outcomes.append(f"{name} is refused")

        tasks = [asyncio.create_task(request(name)) for name in "abcd"]
        for _ in range(5):
            await asyncio.sleep(0)
        assert (queue.at_work, queue.waiting) == (2, 1)
        release.set()
        await asyncio.gather(*tasks)
        assert (queue.at_work, queue.waiting) == (0, 0)
        return outcomes

    outcomes = asyncio.run(try_it())
    assert outcomes[:3] == ["a works beside 0", "b works beside 1", "d is refused"]
    assert outcomes[3].startswith("c works")


def test_a_request_waits_no_longer_than_it_may() -> None:
    async def try_it() -> None:
        queue = Queue(at_work=1, waiting=1)
        async with queue.place(60):
            with pytest.raises(BusyError):
                async with queue.place(0.01):
                    pass
            assert queue.waiting == 0
        async with queue.place(0.01):
            assert queue.at_work == 1

    asyncio.run(try_it())


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("Bearer", False),
        ("", False),
        (f"Bearer {TOKEN}x", False),
        ("Bearer \udcff", False),
    ],
)
def test_a_token_is_right_as_a_whole_or_wrong(header: str, is_right: bool) -> None:
    assert has_token(header, TOKEN) == is_right


def test_only_this_machine_is_answered_without_a_token() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        check_token(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.1", "fruits.example"):  # noqa: S104
        with pytest.raises(CalledWronglyError, match="FRUITS_SERVE_TOKEN"):
            check_token(host, None)
        check_token(host, TOKEN)
    with pytest.raises(CalledWronglyError, match="at least 16"):
        check_token("127.0.0.1", TOKEN[:-1])


def test_a_link_may_lead_to_the_page_and_not_to_a_photo() -> None:
    linked = {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert not is_of_another_site(linked, "/", "/identify")
    assert is_of_another_site(linked, "/identify", "/identify")
    assert is_of_another_site({"host": "[::x"}, "/", "/identify")
    assert is_of_another_site({"host": "127.0.0.1", "origin": "http://[::x"}, "/", "/identify")


def test_a_line_of_the_log_has_four_things() -> None:
    line = line_of(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 200, 0.0456, 1234)
    assert line == "2026-01-02T03:04:05Z 200 46 ms 1234 bytes"


def test_the_token_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_SERVE_TOKEN", TOKEN)
    settings = read_settings()
    assert settings.serve_token is not None
    assert settings.serve_token.get_secret_value() == TOKEN
    assert TOKEN not in f"{settings!r} {settings.as_environment()} {settings.model_dump_json()}"


def test_the_page_escapes_what_the_schema_says() -> None:
    schema = {
        "info": {"title": "<b>", "description": "a & b"},
        "paths": {"/<x>": {"get": {"description": "<script>", "responses": {"200": {"description": "<i>"}}}}},
        "components": {"schemas": {"<m>": {"properties": {"<f>": {"type": "string", "description": "<d>"}}}}},
    }
    page = page_of(schema, has_form=False)
    assert re.findall("<(?:b|x|script|i|m|f|d)>", page) == []
    assert "&lt;script&gt;" in page
    assert "<form" not in page
    assert "<form" in page_of(schema, has_form=True)
