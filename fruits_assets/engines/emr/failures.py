"""What EMR knows about a step that failed: the states of the step and of its cluster, and the words for them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fruits_assets.engines import step_failures
from fruits_assets.engines.step_failures import CANCELLED, Cause, Words
from spark_steps import denials

WORDS = Words(
    place="on the cluster",
    environment="the cluster's environment",
    mend_environment="Run fruits deploy, end this cluster (fruits clusters --terminate), and start the run again.",
    larger="or take larger nodes with FRUITS_INSTANCE_TYPE",
    role="the nodes' role",
    lost_with="their nodes",
    when_not_cancelled="It ends with its cluster.",
    when_idle="idle, the cluster ends after FRUITS_IDLE_MINUTES",
)
_NOT_UPLOADED = " EMR has not uploaded it yet; it comes within some minutes."


@dataclass(frozen=True)
class Evidence:
    """What is known about a step that has not succeeded.

    Attributes:
        step: The step's state, such as ``FAILED``.
        details: FailureDetails of DescribeStep.
        cluster: The cluster's state.
        cluster_reason: StateChangeReason of DescribeCluster.
        error: The error that the step itself wrote, None if it wrote none.
        log: The ends of the step's controller log, stdout and stderr, as far as EMR has written them.
        waiting: Whether the step never started.
        aged: Whether the cluster has reached its maximum age.
        log_uri: The folder that EMR uploads the step's logs to.
    """

    step: str
    details: Mapping[str, str]
    cluster: str
    cluster_reason: Mapping[str, str]
    error: Mapping[str, Any] | None
    log: str
    waiting: bool = False
    aged: bool = False
    log_uri: str = ""

    def in_general(self) -> step_failures.Evidence:
        """Returns the same without EMR's own terms."""
        return step_failures.Evidence(
            error=self.error,
            log=self.log,
            message=self.details.get("Message", ""),
            known=_of_cluster(self) or self._of_step(),
            log_uri=self.details.get("LogFile") or self.log_uri,
            log_note=_NOT_UPLOADED,
            words=WORDS,
        )

    def _of_step(self) -> Cause | None:
        return CANCELLED if self.step in ("CANCELLED", "CANCEL_PENDING", "INTERRUPTED") else None


def explain(evidence: Evidence) -> Cause:
    """Returns the most likely cause of a failure."""
    return step_failures.explain(evidence.in_general())


def explain_error(text: str) -> Cause | None:
    """Returns why a step failed that reported an error caused by its cluster; None for any other error."""
    return step_failures.explain_error(text, WORDS)


def cause_of_end(reason: Mapping[str, str]) -> str:
    """Returns why a cluster has ended, by the reason that EMR gives for its state."""
    cause = _of_cluster(Evidence("", {}, "TERMINATED", reason, None, ""))
    return cause.message if cause else ""


def _of_cluster(evidence: Evidence) -> Cause | None:
    if not evidence.cluster.startswith("TERMINAT"):
        return None
    code, message = evidence.cluster_reason.get("Code", ""), evidence.cluster_reason.get("Message", "")
    detail = f" EMR says {code}: {message}." if code or message else ""
    if code == "BOOTSTRAP_FAILURE" and (denial := denials.denial_in(f"{message}\n{evidence.log}")):
        of_nodes = replace(denial, principal=denial.principal or WORDS.role)
        return Cause(f"the cluster could not be set up. {denials.sentence_of(of_nodes)}")
    if code == "VALIDATION_ERROR":
        return Cause(f"EMR could not create the cluster.{detail} {denials.REMEDY}")
    if code == "BOOTSTRAP_FAILURE":
        return Cause(
            f"the cluster could not be set up.{detail} Look at the bootstrap action's log below node/ in the log "
            "bucket; run fruits deploy to build the environment again."
        )
    if code == "INSTANCE_FLEET_TIMEOUT":
        return Cause(
            f"EMR could not get the cluster's Spot instances in time, and has ended it.{detail} Start the run again "
            "later, set FRUITS_SPOT=false, choose another FRUITS_INSTANCE_TYPE, or raise FRUITS_PROVISIONING_MINUTES."
        )
    if evidence.waiting or evidence.aged:
        why = "it had reached its greatest age" if evidence.aged else "it ended before the step's turn"
        return Cause(
            f"the cluster is gone: {why}.{detail} Another attempt takes a new one; give fewer folders at once, or "
            "raise FRUITS_MAX_AGE_MINUTES, if that happens again.",
            is_transient=True,
        )
    if code in ("USER_REQUEST", "ALL_STEPS_COMPLETED"):
        return Cause(
            "the cluster was terminated while the step was under way, by a person or by fruits clusters --terminate."
            f"{detail} Start the run again; what is written already is not computed twice."
        )
    return Cause(f"the cluster was lost.{detail} Another attempt takes a new one.", is_transient=True)
