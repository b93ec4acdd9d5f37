"""An application of EMR Serverless as a resource of CloudFormation, which moto does not have."""

from typing import Any

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.emrserverless.models import Application, emrserverless_backends


class ApplicationResource(CloudFormationModel):
    """moto's application, made from a template; moto finds this class by its base class."""

    def __init__(self, application: Application) -> None:
        self.application = application

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that has the resource's name."""
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        """The type in a template."""
        return "AWS::EMRServerless::Application"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Tells which attributes there are for GetAtt."""
        return attr in ("Arn", "ApplicationId")

    def get_cfn_attribute(self, name: str) -> str:
        """Returns an attribute."""
        return str(self.application.arn if name == "Arn" else self.application.id)

    @property
    def physical_resource_id(self) -> str:
        """What Ref gives."""
        return str(self.application.id)

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> "ApplicationResource":
        """Makes the application."""
        properties = cloudformation_json["Properties"]
        most: Any = properties.get("MaximumCapacity")
        stop: Any = properties.get("AutoStopConfiguration")
        # moto takes what it is given for the request's own form.
        given: dict[str, Any] = {
            "maximum_capacity": most and {name.lower(): value for name, value in most.items()},
            "auto_stop_configuration": stop
            and {"enabled": stop["Enabled"], "idleTimeoutMinutes": int(stop["IdleTimeoutMinutes"])},
            "auto_start_configuration": None,
        }
        application = emrserverless_backends[account_id][region_name].create_application(
            name=properties["Name"],
            release_label=properties["ReleaseLabel"],
            application_type=properties["Type"].upper(),
            client_token=resource_name,
            initial_capacity=properties.get("InitialCapacity"),
            tags={one["Key"]: one["Value"] for one in properties.get("Tags", [])},
            network_configuration=None,
            **given,
        )
        application.state = "CREATED"
        return cls(application)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: "ApplicationResource", *_: Any, **__: Any
    ) -> "ApplicationResource":
        """Leaves it as it is."""
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        """Deletes it."""
        emrserverless_backends[account_id][region_name].applications.pop(resource_name, None)

    def is_created(self) -> bool:
        """Tells that it is there."""
        return True


# moto keeps the list that it has once made.
for made in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
    if hasattr(made, "cache_clear"):
        made.cache_clear()
