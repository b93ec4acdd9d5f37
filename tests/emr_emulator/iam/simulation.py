"""IAM's SimulatePrincipalPolicy, which moto does not have: decided by the policies of a role as every call is."""

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from tests.emr_emulator.iam.authorization import policies_of_role
from tests.emr_emulator.iam.policies import Question, decide

_DECISIONS = {"allow": "allowed", "deny": "explicitDeny", "none": "implicitDeny"}


def simulate_principal_policy(self: IamResponse) -> ActionResult:
    """Answers for each action on each resource; of a role alone."""
    documents = policies_of_role(self._get_param("PolicySourceArn").rpartition("/")[2])
    entries = self._get_param("ContextEntries", [])
    context = {one["ContextKeyName"]: list(one["ContextKeyValues"]) for one in entries}
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": _DECISIONS[decide(documents, Question(action, resource, context))],
        }
        for action in self._get_param("ActionNames")
        for resource in self._get_param("ResourceArns", ["*"])
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def add_to_moto() -> None:
    """Has moto's IAM answer it, in this process."""
    IamResponse.simulate_principal_policy = simulate_principal_policy  # type: ignore[attr-defined]
