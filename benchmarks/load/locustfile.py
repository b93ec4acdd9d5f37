"""A load test of ``fruits serve`` by Locust: photos of a folder, at so many a second.

``locust -f benchmarks/load/locustfile.py --headless --users 5 --run-time 1m --host http://127.0.0.1:8000`` with
``PHOTOS`` naming a folder; each user sends a photo a second. ``FRUITS_SERVE_TOKEN`` is the token of a server that has
one.
"""

import os
import random
from pathlib import Path

from locust import HttpUser, constant_throughput, events, task

_PHOTOS: list[bytes] = []


@events.test_start.add_listener
def read_photos(**_: object) -> None:
    """Reads the photos before the first is sent."""
    folder = Path(os.environ.get("PHOTOS", "sample/photos"))
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        raise SystemExit(f"There is no photo below {folder}. Give a folder: PHOTOS=FOLDER locust ...")
    _PHOTOS.extend(file.read_bytes() for file in files[:64])


class Sender(HttpUser):
    """A user that sends a photo a second."""

    wait_time = constant_throughput(1)

    @task
    def identify(self) -> None:
        """Sends one photo; answers other than 200 are failures, but for 429, which is what a full server answers."""
        token = os.environ.get("FRUITS_SERVE_TOKEN")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        photo = random.choice(_PHOTOS)  # noqa: S311
        with self.client.post("/identify", data=photo, headers=headers, catch_response=True) as answer:
            if answer.status_code == 429:
                answer.success()
