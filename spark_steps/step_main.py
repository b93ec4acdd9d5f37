"""The program that spark-submit runs on a cluster: runs the step of a staged document, and reports through S3.

It sends back the events and the outcome of the step. It imports no other module of the project before it calls the
document's entry point, so that it can report earlier errors too, such as a missing module or a wrong Python.
"""

import importlib
import json
import os
import queue
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

EVENTS = "events"
OUTCOME = "outcome.json"
# Names of the arguments, where an engine passes named ones alone.
DOCUMENT_OPTION, REGION_OPTION = "--step-document", "--step-region"
# The URI of the zip of the project's code, where an engine runs this program in a process of its own: that process
# takes no files of code, and must not be ended.
CODE_OPTION = "--step-code"
PUBLISH_SECONDS = 1.0
_LAST_ATTEMPTS = 5
# Characters kept from the end of a stack trace: enough for a reader, and small compared with an event.
_TRACE_CHARACTERS = 8000


class Staging:
    """The prefix in S3 through which a step and its launcher exchange files.

    Attributes:
        bucket: Its bucket.
        prefix: Its key, without a trailing slash.
    """

    def __init__(self, document_uri: str, region: str) -> None:
        import boto3

        self.bucket, _, key = document_uri.removeprefix("s3://").partition("/")
        self.prefix = str(PurePosixPath(key).parent)
        self._name = PurePosixPath(key).name
        self._s3 = boto3.client("s3", region_name=region)

    def document(self) -> dict[str, Any]:
        """Returns the document that describes the step."""
        body = self._s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{self._name}")["Body"]
        document: dict[str, Any] = json.loads(body.read())
        return document

    def fetch(self, uri: str) -> str:
        """Downloads a file of the prefix into a new temporary folder, and returns its path."""
        name = PurePosixPath(uri).name
        path = PurePosixPath(tempfile.mkdtemp(prefix="fruits-step-")) / name
        self._s3.download_file(self.bucket, f"{self.prefix}/{name}", str(path))
        return str(path)

    def write(self, name: str, value: Any) -> None:
        """Writes a value as JSON."""
        body = json.dumps(value, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=body)


class Publisher:
    """Sends events about once a second: writes the new ones to the next numbered file, each event once."""

    def __init__(self, write: Callable[[str, Any], None]) -> None:
        self._write = write
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._unsent: list[str] = []
        self._files = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-publisher", daemon=True)
        self._thread.start()

    def put(self, event: str) -> None:
        """Queues an event, which is sent within about a second."""
        self._events.put(event)

    def close(self) -> None:
        """Sends the remaining events.

        Raises:
            Exception: The remaining events cannot be sent.
        """
        self._closed.set()
        self._thread.join()
        for _ in range(_LAST_ATTEMPTS - 1):
            try:
                return self._send()
            except Exception:
                time.sleep(PUBLISH_SECONDS)
        return self._send()

    def _run(self) -> None:
        while not self._closed.wait(PUBLISH_SECONDS):
            try:
                self._send()
            except Exception as error:
                print(f"events cannot be sent for now: {error}", file=sys.stderr)

    def _send(self) -> None:
        while self._unsent or not self._events.empty():
            # If the response was lost, the file may exist: retry it with the same events, and put new ones in the next.
            self._unsent = self._unsent or self._waiting()
            self._write(f"{EVENTS}/{self._files + 1:06}.json", self._unsent)
            self._files += 1
            self._unsent = []

    def _waiting(self) -> list[str]:
        events: list[str] = []
        while not self._events.empty():
            events.append(self._events.get())
        return events


def given(arguments: Sequence[str]) -> tuple[str, str]:
    """Returns the document's URI and the region among the arguments of this program.

    Args:
        arguments: Both, in that order; or by their names, among others that an engine adds.
    """
    if DOCUMENT_OPTION in arguments:
        document, region = (arguments[arguments.index(name) + 1] for name in (DOCUMENT_OPTION, REGION_OPTION))
        return document, region
    return arguments[0], arguments[1]


def code_of(arguments: Sequence[str]) -> str:
    """Returns the URI of the code among the arguments; empty where Spark has fetched the code before."""
    return arguments[arguments.index(CODE_OPTION) + 1] if CODE_OPTION in arguments else ""


def main(document_uri: str, region: str, code_uri: str = "") -> int:
    """Runs a step.

    Args:
        document_uri: ``s3://bucket/prefix/step.json``: entry point, environment, and the input of the entry point.
        region: AWS region of the bucket.
        code_uri: The zip of the project's code beside it, for driver and executors; empty where they have it.

    Returns:
        The exit code: 0 if the entry point returns that the step has succeeded.
    """
    staging = Staging(document_uri, region)
    document = staging.document()
    try:
        succeeded = _run(document, staging, code_uri)
    except BaseException as error:
        staging.write(OUTCOME, {"succeeded": False, "error": described(error)})
        traceback.print_exc()
        return 1
    staging.write(OUTCOME, {"succeeded": succeeded, "error": None})
    return 0 if succeeded else 1


def _run(document: dict[str, Any], staging: Staging, code_uri: str) -> bool:
    check_python(document["python"])
    os.environ.update(document["environment"])
    if code_uri:
        _distribute(staging.fetch(code_uri))
    module, _, function = document["entry_point"].partition(":")
    entry_point = getattr(importlib.import_module(module), function)
    publisher = Publisher(staging.write)
    try:
        return bool(entry_point(document, publisher.put))
    finally:
        publisher.close()


def _distribute(code: str) -> None:
    from pyspark.sql import SparkSession

    sys.path.insert(0, code)
    SparkSession.builder.getOrCreate().sparkContext.addPyFile(code)


def check_python(wanted: str) -> None:
    """Raises a RuntimeError unless this Python is of the required minor version, such as 3.11."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != wanted:
        raise RuntimeError(f"wrong Python: the step needs {wanted}, and {sys.executable} is {here}")


def described(error: BaseException) -> dict[str, Any]:
    """Returns an error as a JSON object, with the end of the stack trace.

    It is the outermost error of the platform, whose message is a sentence with a remedy; else the innermost cause.
    """
    chain = [error]
    while (inner := chain[-1].__cause__) is not None:
        chain.append(inner)
    # By its name: this program imports nothing of the project, and the error may be that nothing can be imported.
    ours = [one for one in chain if any(kind.__name__ == "FruitsError" for kind in type(one).__mro__)]
    cause = next(iter(ours), chain[-1])
    trace = "".join(traceback.format_exception(error))
    return {
        "is_ours": bool(ours),
        "type": type(cause).__name__,
        "message": str(cause)[-_TRACE_CHARACTERS:],
        "module": getattr(cause, "name", None) if isinstance(cause, ImportError) else None,
        "trace": trace[-_TRACE_CHARACTERS:],
    }


if __name__ == "__main__":
    code = main(*given(sys.argv[1:]), code_of(sys.argv[1:]))
    sys.stdout.flush()
    sys.stderr.flush()
    if CODE_OPTION not in sys.argv:
        # sys.exit is not used: the teardown of C++ threads has aborted processes that had done all their work.
        os._exit(code)
    if code:
        raise RuntimeError("the step has failed; its events or its outcome have the reason")
