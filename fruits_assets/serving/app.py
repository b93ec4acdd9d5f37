"""The routes. FastAPI makes the OpenAPI schema of the same classes that check the parameters and write the answers."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from fruits_assets.serving.answers import Health, IdentifyAnswer, Problem, Readiness
from fruits_assets.serving.body import FORM_BYTES, TooLargeError, declared_length, photo_in, read_body
from fruits_assets.serving.guard import OwnPagesOnly, TokenOnly
from fruits_assets.serving.page import POLICY, page_of
from fruits_assets.serving.responses import FORESEEN, Logged, response_to
from fruits_assets.serving.service import Asked, NotReadyError, Service
from spark_steps.errors import FruitsError

MOST_NEIGHBOURS = 100
_COMMANDS = "/identify"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"photo": {"type": "string", "format": "binary"}},
        "required": ["photo"],
    }
}
_PROBLEMS = {
    400: "There is no photo in the request, the form is malformed, or a parameter is wrong.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site.",
    408: "The photo did not arrive in time.",
    413: "The photo is too large.",
    422: "The photo cannot be decoded.",
    429: "Too many photos at a time; the header Retry-After says when to ask again.",
    503: "The store is not loaded yet, or cannot be read.",
}


def build_app(service: Service, token: str | None, *, loopback: bool, report: Callable[[str], None]) -> ASGIApp:
    """Returns the application, guarded and logged.

    Args:
        service: What answers.
        token: The token that requests must have, None for no token.
        loopback: Whether only programs of this machine reach it, so that only pages of its own may ask.
        report: Takes lines for the log.
    """
    app = FastAPI(
        title="fruits serve",
        version="1",
        description="One photo to its nearest labels in a store of fruits.",
        docs_url=None,
        redoc_url=None,
    )
    _add_identify(app, service)
    _add_state(app, service, has_form=token is None)
    _add_errors(app, service, report)
    guarded: ASGIApp = app
    if token is not None:
        guarded = TokenOnly(guarded, token)
    if loopback:
        guarded = OwnPagesOnly(guarded, _COMMANDS)
    return Logged(guarded, service.metrics, report)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": _PROBLEMS[status]} for status in statuses}


def _add_identify(app: FastAPI, service: Service) -> None:
    @app.post(
        _COMMANDS,
        response_model=IdentifyAnswer,
        response_model_exclude_unset=True,
        responses=_problems(*_PROBLEMS),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": _BYTES, "image/*": _BYTES, "multipart/form-data": _FORM},
            }
        },
    )
    async def identify(
        request: Request,
        count: Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS, description="Nearest photos to look at.")] = 10,
        reduced: Annotated[bool, Query(description="Whether to add the photo's own numbers.")] = False,
        paths: Annotated[bool, Query(description="Whether to add paths and image ids of photos.")] = False,
    ) -> dict[str, Any]:
        """Name the labels that a photo is nearest to: its bytes as the body, or as the one file of a form."""
        if not service.is_ready:
            raise NotReadyError
        limits, headers = service.limits, request.headers
        with service.memory.share() as share:
            length = declared_length(headers.get("content-length"))
            most = limits.max_bytes + FORM_BYTES
            body = await read_body(request.stream(), length, most, limits.seconds, share)
            photo = photo_in(body, headers.get("content-type", ""))
            del body
            if len(photo) > limits.max_bytes:
                raise TooLargeError
            return await service.identify(photo, Asked(count, reduced, paths))


def _add_state(app: FastAPI, service: Service, *, has_form: bool) -> None:
    @app.get("/healthz")
    async def health() -> Health:
        """Tell that the process is alive."""
        return Health()

    @app.get("/readyz", responses={503: {"model": Readiness, "description": "The store is not loaded yet."}})
    async def readiness(response: Response) -> Readiness:
        """Tell whether photos are answered, and from which version of the store."""
        state = service.readiness()
        response.status_code = 200 if state.ready else 503
        return state

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}, "description": "Metrics for Prometheus."}})
    async def metrics() -> Response:
        """Give counts, times and versions in the text format of Prometheus."""
        return Response(service.metrics.as_text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return HTMLResponse(page_of(app.openapi(), has_form=has_form), headers=headers)


def _add_errors(app: FastAPI, service: Service, report: Callable[[str], None]) -> None:
    async def refuse(_: Request, error: Exception) -> Response:
        if isinstance(error, FruitsError | OSError):
            report(f"The store cannot be read: {error}")
        return response_to(error, service.limits)

    async def wrong_parameter(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}."}, 400)

    async def no_such_page(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    async def gone(_: Request, error: Exception) -> Response:
        # Nobody reads it; it is counted as the status of clients that left.
        return Response(status_code=499)

    for kind in FORESEEN:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, wrong_parameter)
    app.add_exception_handler(HTTPException, no_such_page)
    app.add_exception_handler(ClientDisconnect, gone)
