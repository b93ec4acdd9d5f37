"""Service Quotas' answers for vCPUs of EC2 and EMR Serverless, which moto does not have."""

from typing import Any

from tests.emr_emulator.checks import ApiError

# What an account has that has asked for more once: a cluster of the default size fits.
VCPUS = {"L-1216C47A": 32.0, "L-34B43A08": 32.0}
# EMR Serverless gives a new account 16.
SERVICES = {"ec2": VCPUS, "emr-serverless": {"L-D05C8A75": 16.0}}


def get_service_quota(request: dict[str, Any]) -> dict[str, Any]:
    """Answers GetServiceQuota.

    Args:
        request: As in boto3: ServiceCode and QuotaCode.

    Raises:
        ApiError: There is no such quota.
    """
    code = str(request.get("QuotaCode"))
    service = str(request.get("ServiceCode"))
    if code not in SERVICES.get(service, {}):
        raise ApiError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
    return {"Quota": {"ServiceCode": service, "QuotaCode": code, "Value": SERVICES[service][code], "Adjustable": True}}
