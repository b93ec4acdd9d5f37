"""What the commands have in common at a terminal."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from spark_steps.errors import FruitsError

P = ParamSpec("P")


def tells_problems_in_a_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """Shows a FruitsError as its message, with exit code 1, in place of a stack trace."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except FruitsError as error:
            raise click.ClickException(str(error)) from error

    return wrapped
