"""The time as AWS tells it, for what is compared with times of AWS: ages, idle time, and the month of the spend.

This machine's clock may be wrong, by an hour where somebody has mistaken the time zone. Each answer of AWS has the time
at which it was given.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

# AWS tells whole seconds, and an answer takes some time: a clock as near as this is right.
_RIGHT = timedelta(seconds=10)
_ahead = timedelta(0)


def now() -> datetime:
    """Returns the present time, in UTC: that of this machine, corrected by the last answer of AWS."""
    return datetime.now(UTC) - _ahead


def follow(client: Any) -> None:
    """Has a boto3 client's answers correct the clock.

    Args:
        client: A new client.
    """
    client.meta.events.register("response-received", _read)


def _read(response_dict: Mapping[str, Any] | None = None, **_: Any) -> None:
    global _ahead
    told = (response_dict or {}).get("headers", {}).get("date")
    if told:
        ahead = datetime.now(UTC) - parsedate_to_datetime(told)
        _ahead = ahead if abs(ahead) > _RIGHT else timedelta(0)
