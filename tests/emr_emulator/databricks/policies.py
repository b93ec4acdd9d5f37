"""Whether a request for a cluster keeps to a cluster policy."""

import re
from typing import Any

_NOTHING = object()


def problem(definition: dict[str, dict[str, Any]], cluster: dict[str, Any]) -> str:
    """Returns the first rule that a cluster breaks; nothing where it keeps to all.

    Args:
        definition: Of the policy: rules by the path of what they bound.
        cluster: The request for a job cluster.
    """
    virtual = {"cluster_type": "job"}
    for path, rule in definition.items():
        value = virtual.get(path, _value(cluster, path.split(".")))
        if value is _NOTHING:
            if rule["type"] != "forbidden" and not rule.get("isOptional"):
                return f"Validation failed for {path}, the value must be present"
            continue
        if wrong := _broken(rule, value):
            return f'Validation failed for {path}, the value {wrong} (is "{value}")'
    return ""


def _value(of: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(of, list):
            of = of[int(part)] if int(part) < len(of) else _NOTHING
        else:
            of = of.get(part, _NOTHING) if isinstance(of, dict) else _NOTHING
        if of is _NOTHING:
            break
    return of


def _broken(rule: dict[str, Any], value: Any) -> str:
    kind = rule["type"]
    if kind == "forbidden":
        return "must not be present"
    if kind == "fixed" and value != rule["value"]:
        return f"must be {rule['value']}"
    if kind == "regex" and not re.fullmatch(rule["pattern"], str(value)):
        return f"must match {rule['pattern']}"
    if kind == "range" and not rule.get("minValue", value) <= value <= rule.get("maxValue", value):
        return f"must be between {rule.get('minValue')} and {rule.get('maxValue')}"
    return ""
