"""A Glue job as a resource of CloudFormation, which moto does not have."""

from typing import Any

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.glue.models import FakeJob, glue_backends


class JobResource(CloudFormationModel):
    """moto's job, made from a template; moto finds this class by its base class."""

    def __init__(self, job: FakeJob) -> None:
        self.job = job

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that has the resource's name."""
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        """The type in a template."""
        return "AWS::Glue::Job"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Tells that there are no attributes for GetAtt."""
        return False

    @property
    def physical_resource_id(self) -> str:
        """What Ref gives."""
        return str(self.job.name)

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> "JobResource":
        """Makes the job."""
        asked = cloudformation_json["Properties"]
        runs = asked.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1)
        backend = glue_backends[account_id][region_name]
        given: dict[str, Any] = {
            "role": asked["Role"],
            "command": asked["Command"],
            "description": asked.get("Description"),
            "log_uri": None,
            "execution_property": {"MaxConcurrentRuns": int(runs)},
            "default_arguments": asked.get("DefaultArguments"),
            "non_overridable_arguments": asked.get("NonOverridableArguments"),
            "connections": None,
            "max_retries": int(asked.get("MaxRetries", 0)),
            "allocated_capacity": None,
            # What Glue takes from version 5.0 on.
            "timeout": int(asked.get("Timeout", 480)),
            "max_capacity": None,
            "security_configuration": None,
            "tags": asked.get("Tags"),
            "notification_property": None,
            # The default of a new job.
            "glue_version": asked.get("GlueVersion", "6.0"),
            "number_of_workers": int(asked.get("NumberOfWorkers", 10)),
            "worker_type": asked.get("WorkerType", "G.1X"),
            "code_gen_configuration_nodes": None,
            "execution_class": asked.get("ExecutionClass"),
            "source_control_details": None,
        }
        backend.create_job(name=asked["Name"], **given)
        return cls(backend.jobs[asked["Name"]])

    @classmethod
    def update_from_cloudformation_json(cls, original_resource: "JobResource", *_: Any, **__: Any) -> "JobResource":
        """Leaves it as it is."""
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        """Deletes it."""
        glue_backends[account_id][region_name].jobs.pop(resource_name, None)

    def is_created(self) -> bool:
        """Tells that it is there."""
        return True


# moto keeps the list that it has once made.
for made in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
    if hasattr(made, "cache_clear"):
        made.cache_clear()
