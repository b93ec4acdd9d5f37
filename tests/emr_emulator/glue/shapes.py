"""What a request to Glue must be like: botocore's model of the service."""

from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.emr_emulator.checks import ApiError


def check_shape(action: str, request: dict[str, Any]) -> None:
    """Refuses a request that is not one of the service's own model.

    Args:
        action: Such as StartJobRun.
        request: Its body.

    Raises:
        ApiError: InvalidInputException.
    """
    shape = _model().operation_model(action).input_shape
    assert shape is not None
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise ApiError("InvalidInputException", report.generate_report())


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("glue")
