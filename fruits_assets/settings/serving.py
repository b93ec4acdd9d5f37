"""Settings of the server of answers."""

from pydantic import BaseModel, Field, SecretStr


class ServingOptions(BaseModel):
    """What fruits serve allows."""

    serve_token: SecretStr | None = Field(
        # It goes nowhere else: neither to a cluster nor into a message.
        None,
        exclude=True,
        description="Token that requests to fruits serve must have; without one it answers this machine alone.",
    )
    serve_waiting: int = Field(
        16, ge=0, le=10_000, description="Requests that wait, besides one at work for each of the cores."
    )
    serve_megabytes: int = Field(256, ge=1, le=65_536, description="Photos held in memory at a time, undecoded.")
    serve_seconds: int = Field(
        10, ge=1, le=600, description="The longest that a photo may take to arrive, to wait, and to be decoded, each."
    )
    serve_refresh_seconds: float = Field(5, ge=0.1, le=86_400, description="Between two looks for a newer version.")
    serve_exact_up_to: int = Field(
        2_000_000, ge=0, description="Photos of a store up to which all are looked at; above, an index proposes some."
    )
