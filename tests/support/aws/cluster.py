"""A stack and an environment as they are found on AWS."""

from fruits_assets.aws.environment import Environment
from fruits_assets.aws.infrastructure import Infrastructure

INFRASTRUCTURE = Infrastructure(
    data_bucket="data",
    staging_bucket="staging",
    lock_bucket="locks",
    service_role="service",
    instance_profile="nodes",
    launcher_role_arn="arn:aws:iam::123456789012:role/launcher",
    guard_role_arn="arn:aws:iam::123456789012:role/guard",
    subnet_id="subnet-1",
    primary_security_group="sg-1",
    core_security_group="sg-2",
    security_configuration="encryption",
    serverless_application="00application",
    job_role_arn="arn:aws:iam::123456789012:role/job",
    glue_job="fruits",
    glue_role_arn="arn:aws:iam::123456789012:role/glue",
    glue_logs="/fruits/glue",
    databricks_profile_arn="arn:aws:iam::123456789012:instance-profile/databricks",
    databricks_role_arn="arn:aws:iam::123456789012:role/databricks",
)


ENVIRONMENT = Environment(archive="environment/a.tar.gz", bootstrap="environment/b.sh", python="3.11", packages={})
