"""What fruits history says of a store."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from fruits_assets.commands.cli import main
from spark_steps.store.store import Store


def fruits(command: str, store: Store, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [command, "--store", store.root, *map(str, arguments)])


def history(store: Store, *arguments: str) -> list[dict[str, Any]]:
    done = fruits("history", store, "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    changes: list[dict[str, Any]] = json.loads(done.stdout)
    return changes


def figures(change: dict[str, Any]) -> tuple[int, int, int, int]:
    added, removed, files_added, files_removed = (
        change[name] for name in ("rows_added", "rows_removed", "files_added", "files_removed")
    )
    return added, removed, files_added, files_removed
