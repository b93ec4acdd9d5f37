"""The prefix in S3 by which launcher and step exchange files: document and code one way, events and outcome back."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import fruits_assets
import spark_steps
from fruits_assets.aws.sessions import read_object, translate_errors
from spark_steps import step_main
from spark_steps.errors import FruitsError
from spark_steps.step_main import EVENTS, OUTCOME

DOCUMENT = "step.json"
CODE = "code.zip"
_PACKAGES = (fruits_assets, spark_steps)
_CODE_SUFFIXES = (".py", ".yaml", ".properties")


def code_zip() -> bytes:
    """Returns a zip of the project's two packages for ``--py-files``, with code and configuration files only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in _PACKAGES:
            root = Path(str(package.__file__)).parent
            for file in sorted(root.rglob("*")):
                if file.suffix in _CODE_SUFFIXES and not any(
                    part.startswith((".", "__")) for part in _folders(file, root)
                ):
                    archive.write(file, file.relative_to(root.parent))
    return buffer.getvalue()


def _folders(file: Path, root: Path) -> tuple[str, ...]:
    return file.relative_to(root).parent.parts


class StepStaging:
    """The files of one attempt of a step in the staging bucket.

    Attributes:
        bucket: The staging bucket.
        prefix: The prefix of this attempt. Each has its own, so that a retry reads no events of the attempt before.
    """

    def __init__(self, s3: Any, bucket: str, run_id: str, step_key: str, attempt: int) -> None:
        self._s3 = s3
        self.bucket = bucket
        self.prefix = f"steps/{run_id}/{step_key.replace('[', '__').replace(']', '__')}/{attempt}"
        self._files_read = 0

    def uri(self, name: str) -> str:
        """Returns the URI of one of the attempt's files."""
        return f"s3://{self.bucket}/{self.prefix}/{name}"

    @property
    def main_name(self) -> str:
        """The name of the script that spark-submit runs."""
        return Path(step_main.__file__).name

    def send(self, document: dict[str, Any]) -> None:
        """Writes the step's document, its code and its main script."""
        files = {
            CODE: code_zip(),
            self.main_name: Path(step_main.__file__).read_bytes(),
            DOCUMENT: json.dumps(document, ensure_ascii=False).encode(),
        }
        with translate_errors(f"write to s3://{self.bucket}/{self.prefix}"):
            for name, content in files.items():
                self._s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=content)

    def new_events(self) -> list[str]:
        """Returns the serialized events that have arrived since the last call."""
        events: list[str] = []
        try:
            while (more := self._read(f"{EVENTS}/{self._files_read + 1:06}.json")) is not None:
                self._files_read += 1
                events += more
        except FruitsError:
            # Events that were read before the error are returned, because they are not read again. An error that
            # persists is raised by the next call.
            if not events:
                raise
        return events

    def outcome(self) -> dict[str, Any] | None:
        """Returns the outcome that the step wrote at its end, None if it has not written one."""
        outcome: dict[str, Any] | None = self._read(OUTCOME)
        return outcome

    def _read(self, name: str) -> Any:
        with translate_errors(f"read {self.uri(name)}"):
            content = read_object(self._s3, self.bucket, f"{self.prefix}/{name}")
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            raise FruitsError(f"{self.uri(name)} is not what a step writes. Find out who has written it.") from error
