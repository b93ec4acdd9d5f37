"""A Databricks workspace on AWS: its client, where it lies, and its errors as sentences with a remedy.

The client is Databricks' own SDK. It takes seconds to import, so it is imported within functions, and only those of a
deployment that uses a workspace are called.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fruits_assets.aws.sessions import TransientError
from fruits_assets.settings import EU_REGIONS
from spark_steps.errors import FruitsError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# As the SDK and Databricks' own tools know them.
HOST, TOKEN = "DATABRICKS_HOST", "DATABRICKS_TOKEN"
_REQUEST_SECONDS = 30
# The SDK repeats what was throttled or did not arrive for so long.
_RETRY_SECONDS = 60
_NEEDS = (
    f"{HOST} and {TOKEN} are not set, and steps on Databricks need both: the address of a workspace, such as "
    "https://dbc-0a1b2c3d-4e5f.cloud.databricks.com, and a token of somebody who may start jobs there (Settings, "
    "Developer, Access tokens)."
)


def workspace() -> "WorkspaceClient":
    """Returns a client of the workspace that the environment names; no request is made.

    Raises:
        FruitsError: The environment names none.
    """
    host, token = os.environ.get(HOST, ""), os.environ.get(TOKEN, "")
    if not host or not token:
        raise FruitsError(_NEEDS)
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    class ConfigAsGiven(Config):
        """The SDK asks a host what it is whenever a client is made, for ways to sign in that are not used here."""

        def _resolve_host_metadata(self) -> None:
            return

    # The SDK looks for its attributes in the class alone that it is first asked for.
    Config.attributes()
    given: dict[str, Any] = {"host": host, "token": token, "auth_type": "pat", "product": "fruits"}
    given |= {"http_timeout_seconds": _REQUEST_SECONDS, "retry_timeout_seconds": _RETRY_SECONDS}
    return WorkspaceClient(config=ConfigAsGiven(**given))


def address(client: "WorkspaceClient") -> str:
    """Returns the workspace's address, without a slash at its end."""
    return str(client.config.host).rstrip("/")


def region_of(client: "WorkspaceClient") -> str:
    """Returns the AWS region in which a workspace has its machines, by the names of their zones.

    Raises:
        FruitsError: The workspace is not on AWS, or cannot be asked.
    """
    with translate_workspace_errors("ask where the workspace lies"):
        told = client.clusters.list_zones()
    zones = [zone for zone in [*(told.zones or []), told.default_zone or ""] if zone]
    regions = {match[1] for zone in zones if (match := re.fullmatch(r"([a-z]+(?:-[a-z]+)+-\d)[a-z]?", zone))}
    if len(regions) != 1:
        named = ", ".join(zones) or "none"
        raise FruitsError(
            f"The workspace {address(client)} does not name the zones of one AWS region ({named}). "
            f"Steps run on Databricks on AWS alone: set {HOST} to such a workspace."
        )
    return regions.pop()


def check_workspace_region(client: "WorkspaceClient", wanted: str) -> str:
    """Returns the region of a workspace that lies in the European Union, and where the buckets are.

    Args:
        client: The workspace.
        wanted: Region of the buckets.

    Raises:
        FruitsError: It lies elsewhere.
    """
    region = region_of(client)
    if region not in EU_REGIONS:
        raise FruitsError(
            f"The workspace {address(client)} lies in {region}, outside the European Union, where photos stay. Set "
            f"{HOST} to a workspace in {wanted}."
        )
    if region != wanted:
        raise FruitsError(
            f"The workspace {address(client)} lies in {region}, and the region is {wanted}. Set FRUITS_REGION={region} "
            f"with buckets there, or {HOST} to a workspace in {wanted}."
        )
    return region


@contextmanager
def translate_workspace_errors(what: str) -> Iterator[None]:
    """Turns an error of the SDK into a FruitsError that names the action, the error and the remedy.

    Args:
        what: The action, as a phrase that follows "to".

    Raises:
        TransientError: It may pass by itself: throttling, a fault of the service, or of the network.
        FruitsError: It does not.
    """
    # The client was made before, so this takes no time.
    from databricks.sdk.errors.base import DatabricksError
    from requests import RequestException

    try:
        yield
    except (DatabricksError, TimeoutError, RequestException) as error:
        # What was repeated in vain is the cause of the SDK's TimeoutError.
        raise _explained(error.__cause__ if isinstance(error, TimeoutError) else error, what) from error


def _explained(error: BaseException | None, what: str) -> FruitsError:
    from databricks.sdk import errors
    from databricks.sdk.errors.base import DatabricksError

    host = os.environ.get(HOST, "")
    if isinstance(error, errors.TooManyRequests | errors.TemporarilyUnavailable):
        return TransientError(
            f"Databricks throttled every attempt to {what}: {error}. Wait some minutes, and run fewer things at once."
        )
    if isinstance(error, errors.InternalError | errors.DeadlineExceeded):
        return TransientError(f"Databricks failed to {what}: {error}. Try again later.")
    if isinstance(error, errors.Unauthenticated):
        return FruitsError(
            f"Databricks does not accept {TOKEN}, so it was not possible to {what}: {error}. Make another token in "
            f"{host} (Settings, Developer, Access tokens)."
        )
    if isinstance(error, errors.PermissionDenied):
        return FruitsError(
            f"Databricks denies to {what}: {error}. Have an administrator of {host} allow it, or check that {TOKEN} is "
            "valid there; fruits doctor looks at both."
        )
    if isinstance(error, DatabricksError):
        return FruitsError(f"Databricks refused to {what}: {error}")
    return TransientError(f"Databricks could not be reached to {what}: {error}. Check the network and {HOST}={host}.")
