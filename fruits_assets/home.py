"""Where Dagster keeps its runs: DAGSTER_HOME, made and set up where it is missing."""

import os
import shutil
from pathlib import Path

_PROJECT = Path(__file__).parent.parent
WORKSPACE = _PROJECT / "workspace.yaml"


def ensure_dagster_home() -> Path:
    """Returns the Dagster home, set in the environment for this process and its children.

    It is that of ``DAGSTER_HOME``, else ``.dagster`` of the checkout, else ``~/.fruits``. One without a
    ``dagster.yaml`` gets ours: Dagster's default sends telemetry to the United States.
    """
    default = _PROJECT / ".dagster" if WORKSPACE.exists() else Path.home() / ".fruits"
    home = Path(os.environ.get("DAGSTER_HOME") or default).expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(Path(__file__).parent / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home
