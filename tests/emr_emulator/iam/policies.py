"""IAM policies, decided as AWS decides them: a Deny that matches wins, else one Allow must match. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Decision = Literal["allow", "deny", "none"]
Values = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Question:
    """May this be done?

    Attributes:
        action: Such as ``s3:GetObject``.
        resource: ARN, or ``*`` for an action that is about no resource in particular.
        context: Condition keys and their values; keys are compared without regard to case.
    """

    action: str
    resource: str
    context: Values = field(default_factory=dict)


def decide(documents: list[dict[str, Any]], question: Question) -> Decision:
    """Decides over all policies of a principal.

    Args:
        documents: Policy documents.
        question: What is to be done.
    """
    effects = {
        statement["Effect"]
        for document in documents
        for statement in as_list(document.get("Statement"))
        if applies(statement, question)
    }
    if "Deny" in effects:
        return "deny"
    return "allow" if "Allow" in effects else "none"


def applies(statement: dict[str, Any], question: Question) -> bool:
    """Tells whether a statement is about the question: its action, resource and all of its conditions."""
    return (
        _names(statement, "Action", question.action, ignore_case=True)
        and ("Principal" in statement or _names(statement, "Resource", question.resource, ignore_case=False))
        and (
            not ({"Resource", "NotResource"} & statement.keys())
            or _names(statement, "Resource", question.resource, False)
        )
        and all(
            _condition(operator, key, as_list(wanted), question.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def trusts(document: dict[str, Any], principal: str, kind: str, question: Question) -> bool:
    """Tells whether the trust policy of a role lets a principal assume it.

    Args:
        document: The role's AssumeRolePolicyDocument.
        principal: An ARN of a user or role, ``arn:aws:iam::<account>:root``, or the name of a service.
        kind: ``AWS`` or ``Service``.
        question: With action ``sts:AssumeRole``.
    """
    named = [
        statement for statement in as_list(document.get("Statement")) if names_principal(statement, principal, kind)
    ]
    return decide([{"Statement": named}], question) == "allow"


def names_principal(statement: dict[str, Any], principal: str, kind: str) -> bool:
    """Tells whether a statement of a resource's own policy is about a principal."""
    named = statement.get("Principal")
    if named == "*":
        return True
    if not isinstance(named, dict):
        return False
    values = as_list(named.get(kind))
    account = principal.split(":")[4] if principal.startswith("arn:") else ""
    return "*" in values or principal in values or (principal.endswith(":root") and account in values)


def as_list(value: Any) -> list[Any]:
    """Returns one value as a list of it, and nothing as no values."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def like(pattern: str, value: str, ignore_case: bool = False) -> bool:
    """Compares with the wildcards ``*`` and ``?``."""
    expression = "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in pattern)
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def _names(statement: dict[str, Any], element: str, value: str, ignore_case: bool) -> bool:
    if f"Not{element}" in statement:
        return not any(like(one, value, ignore_case) for one in as_list(statement[f"Not{element}"]))
    return any(like(one, value, ignore_case) for one in as_list(statement.get(element)))


def _condition(operator: str, key: str, wanted: list[Any], context: Values) -> bool:
    """Decides one key of one operator; all keys of all operators must hold."""
    known = {name.lower(): value for name, value in context.items()}
    value = known.get(key.lower())
    values = [str(one) for one in as_list(value)]
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in wanted]
    quantifier, _, base = operator.rpartition(":")
    if base == "Null":
        return (value is None) == (texts[0].lower() == "true")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    if quantifier == "ForAnyValue":
        return any(_compare(base, one, texts) for one in values)
    if quantifier == "ForAllValues":
        return all(_compare(base, one, texts) for one in values)
    if value is None:
        # A key that is absent differs from every value.
        return if_exists or _is_negative(base)
    return all(_compare(base, one, texts) for one in values)


def _is_negative(base: str) -> bool:
    return "Not" in base


def _compare(base: str, value: str, wanted: list[str]) -> bool:
    """Compares one value with the wanted ones: one of them must match, for a negative operator none may."""
    if _is_negative(base):
        return not _compare(base.replace("Not", "", 1), value, wanted)
    if base == "StringEquals":
        return value in wanted
    if base == "StringEqualsIgnoreCase":
        return value.lower() in [one.lower() for one in wanted]
    if base in ("StringLike", "ArnLike", "ArnEquals"):
        return any(like(one, value) for one in wanted)
    if base == "Bool":
        return value.lower() in [one.lower() for one in wanted]
    if base.startswith("Numeric"):
        return any(_numeric(base, float(value), float(one)) for one in wanted)
    raise ValueError(f"the emulator does not know the condition operator {base}")


def _numeric(base: str, value: float, wanted: float) -> bool:
    comparisons = {
        "NumericEquals": value == wanted,
        "NumericLessThan": value < wanted,
        "NumericLessThanEquals": value <= wanted,
        "NumericGreaterThan": value > wanted,
        "NumericGreaterThanEquals": value >= wanted,
    }
    return comparisons[base]
