"""The command ``fruits serve``: answers over HTTP."""

import os
from pathlib import Path

import click

from fruits_assets.commands.completion import files
from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import store_option
from fruits_assets.settings import MEBIBYTE, Settings, read_settings
from fruits_assets.terminal.interrupts import INTERRUPTS
from fruits_assets.terminal.problems import printable, reports_problems
from spark_steps.errors import FruitsError


@click.command("serve")
@store_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; any other takes a token.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free.")
@click.option(
    "--token-file",
    shell_complete=files,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the token that requests must have.  [env: FRUITS_SERVE_TOKEN]",
)
@reports_problems
def serve_command(store: str | None, host: str, port: int, token_file: Path | None) -> None:
    """Answer over HTTP which labels a photo is nearest to in a store, as identify does.

    A newer version of the store is picked up without a restart, and erased photos are in no answer. No photo is kept
    and no name is logged. Ctrl-C ends it when the last answer is sent.

    \b
    Examples:
      fruits serve --store results
      curl --data-binary @photo.jpg http://127.0.0.1:8000/identify
      fruits serve --store results --host 0.0.0.0 --token-file token.txt
    """
    # Imported here: only this command needs them.
    from fruits_assets.serving.server import check_token, serve
    from fruits_assets.serving.service import ServeLimits

    settings = read_settings(store=store)
    token = _token(settings, token_file)
    check_token(host, token)
    opened = open_store(settings)
    source = opened.existing_pca_model().weights.get("source", "")
    if source.startswith("random:"):
        click.echo(
            f"warning: the network of the store has random weights ({source}): no label means anything.", err=True
        )
    # What is under way is to be answered first; the server waits for no longer than its own limits.
    INTERRUPTS.hand_over()
    limits = ServeLimits(
        workers=(os.cpu_count() or 1) if settings.cores == "*" else int(settings.cores),
        waiting=settings.serve_waiting,
        seconds=settings.serve_seconds,
        max_bytes=settings.decode_limits.fetch.max_bytes,
        memory_bytes=settings.serve_megabytes * MEBIBYTE,
        max_pixels=settings.decode_limits.max_pixels,
        refresh_seconds=settings.serve_refresh_seconds,
        exact_up_to=settings.serve_exact_up_to,
    )
    serve(opened, limits, host, port, token, _announce, _report)


def _token(settings: Settings, file: Path | None) -> str | None:
    if file is None:
        return settings.serve_token.get_secret_value() if settings.serve_token else None
    try:
        return file.read_text("utf-8").strip()
    except ValueError as error:
        raise FruitsError(f"{file} is not UTF-8. Write the token into it, and nothing else.") from error


def _announce(address: str) -> None:
    click.echo(f"Listening on {address}. Ctrl-C ends it.")


def _report(line: str) -> None:
    click.echo(printable(line), err=True)
