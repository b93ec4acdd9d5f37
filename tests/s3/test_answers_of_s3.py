"""What S3 answers, scripted: tried again, or told in a sentence."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.storage import locations, s3_errors
from spark_steps.storage import s3_client as s3_module


@dataclass
class Scripted:
    """A server that gives prepared answers: status, body, and what else it says of the body."""

    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def will_say(self, status: int, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, body, {"Content-Length": str(len(body)), **named}))


@pytest.fixture
def scripted(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append(f"{self.command} {self.path}")
            status, body, headers = script.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", script.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield script
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "asked"),
    [("a%20b", "a%2520b"), ("a+b=c #1?", "a%2Bb%3Dc%20%231%3F"), ("é", "%C3%A9"), ("[x]*", "%5Bx%5D%2A")],
)
def test_a_photo_takes_one_request(scripted: Scripted, name: str, asked: str) -> None:
    scripted.will_say(200, b"photo")
    assert list(fetch([(f"s3://bucket/Test/{name}.jpg", 5)], FetchLimits())) == [b"photo"]
    assert scripted.requests == [f"GET /bucket/Test/{asked}.jpg"]


@pytest.mark.parametrize(
    ("name", "asked"), [("n\nl", "n%0Al"), ("a//b", "a//b"), ("a/../b", "a/../b"), ("/slash", "/slash")]
)
def test_a_name_that_is_no_path_takes_one_request_too(scripted: Scripted, name: str, asked: str) -> None:
    scripted.will_say(200, b"photo")
    assert list(fetch([(f"s3://bucket/{name}.jpg", 5)], FetchLimits())) == [b"photo"]
    assert scripted.requests == [f"GET /bucket/{asked}.jpg"]
    scripted.will_say(200, b"photo")
    assert locations.read_bytes(f"s3://bucket/{name}.jpg", 3) == b"pho"


def test_a_photo_that_breaks_off_is_asked_for_again(scripted: Scripted) -> None:
    scripted.will_say(200, b"pho", Content_Length="5", ETag='"1"')
    scripted.will_say(206, b"to", Content_Range="bytes 3-4/5", ETag='"1"')
    assert list(fetch([("s3://bucket/1.jpg", 5)], FetchLimits())) == [b"photo"]


def test_what_s3_refuses_is_told_in_a_sentence_and_ends_no_batch(scripted: Scripted) -> None:
    for status, code in (
        (403, "AccessDenied"),
        (400, "ExpiredToken"),
        (404, "NoSuchBucket"),
        (301, "PermanentRedirect"),
    ):
        scripted.will_say(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())
    reasons = [str(one) for one in fetch([("s3://bucket/<Code>1.jpg", 5)] * 4, FetchLimits(photos=1))]
    for reason, said in zip(reasons, ("denies access", "expired", "no such bucket", "another region"), strict=True):
        assert reason.startswith("unreadable: s3://bucket/<Code>1.jpg: ")
        assert said in reason


def test_an_answer_nobody_knows_gives_the_same_reason_each_time(scripted: Scripted) -> None:
    for _ in range(2):
        scripted.will_say(418, b"<Error><Code>Teapot</Code></Error>")
    first, second = fetch([("s3://bucket/1.jpg", 5)] * 2, FetchLimits(photos=1))
    assert "Teapot" in str(first)
    assert str(first) == str(second)


def deletion_error(code: str, key: str = "a") -> bytes:
    error = f"<Error><Key>{key}</Key><Code>{code}</Code><Message>Please try again.</Message></Error>"
    return f"<DeleteResult>{error}</DeleteResult>".encode()


def test_a_deletion_that_s3_could_not_do_just_then_is_tried_again(scripted: Scripted) -> None:
    for code in ("InternalError", "SlowDown"):
        scripted.will_say(200, deletion_error(code))
    scripted.will_say(200, b"<DeleteResult/>")
    s3_module.delete_keys("bucket", ["a", "b"])
    assert len(scripted.requests) == 3


def test_a_deletion_that_is_denied_is_not_tried_again(scripted: Scripted) -> None:
    scripted.will_say(200, deletion_error("AccessDenied"))
    with pytest.raises(FruitsError, match="s3://bucket/a: AWS denies access"):
        s3_module.delete_keys("bucket", ["a"])


def test_a_role_that_may_not_be_assumed_is_one_sentence(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    config = tmp_path / "config"
    config.write_text(
        "[profile person]\naws_access_key_id = test\naws_secret_access_key = test\n"
        "[profile refused]\nregion = eu-west-3\n"
        "role_arn = arn:aws:iam::123456789012:role/other\nsource_profile = person\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "refused")
    refusal = b"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
    scripted.will_say(403, b"<ErrorResponse>" + refusal + b"</ErrorResponse>")
    with pytest.raises(FruitsError, match=r"credentials cannot be used: .*not authorized\. .*AWS_PROFILE"):
        locations.read_bytes("s3://bucket/key")


@pytest.mark.parametrize("name", ["403", "301", "SlowDown", "NoSuchKey", "curlCode"])
def test_a_folders_name_is_not_taken_for_an_answer_of_s3(scripted: Scripted, name: str) -> None:
    refusal = b"<Error><Code>InvalidObjectState</Code><Message>It is archived.</Message></Error>"
    scripted.will_say(403, refusal)
    with pytest.raises(FruitsError, match=rf"^s3://bucket/{name}/a: S3 refused.*archived"):
        locations.write_bytes(f"s3://bucket/{name}/a", b"x")
    with pytest.raises(FruitsError, match="AWS denies access"), s3_errors.translate_errors("s3://bucket/a"):
        raise OSError(f"When x for key '{name}/a': AWS Error UNKNOWN (HTTP status 403) during HeadObject operation: No")
