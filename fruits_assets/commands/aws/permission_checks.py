"""The check of ``fruits doctor`` that asks IAM whether the stack's roles have the permissions of the template."""

from typing import Literal

from fruits_assets.aws.permissions import ROLES, missing_permissions, template_permissions, values_of_stack
from fruits_assets.settings import Settings
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError

_REMEDY = (
    "Run fruits deploy as an administrator, which updates an older stack; what somebody has changed in a role by hand "
    "it does not undo: mend that in the console"
)
Outcome = tuple[Literal["ok", "failed", "not checked"], str, str]


def check_permissions(settings: Settings) -> Outcome:
    """Checks every permission of every role of the stack, whichever of its engines uses it.

    A role that these credentials may not ask for is named; the others are checked all the same.

    Raises:
        FruitsError: The stack cannot be read, or IAM cannot be reached.
    """
    permissions, values = template_permissions(), values_of_stack(settings.stack, settings.region)
    lacking: list[str] = []
    unknown: list[str] = []
    for role, named in ROLES.items():
        try:
            missing = missing_permissions(role, permissions, values)
        except FruitsError as error:
            if denial_of(error) is None:
                raise
            unknown.append(f"{named}: unknown, {error}")
            continue
        if missing:
            listed = ", ".join(f"{one.action} on {one.resource}" for one in missing)
            lacking.append(f"{named} lacks {listed}")
    if lacking:
        return "failed", "; ".join([*lacking, *unknown]), _REMEDY
    if unknown:
        return "not checked", "; ".join(unknown), ""
    return "ok", f"all {len(permissions)} of {len(ROLES)} roles", ""
