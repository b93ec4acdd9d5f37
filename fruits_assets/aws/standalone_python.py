"""A CPython that runs wherever it is unpacked, laid out with the packages of the nodes.

A venv's interpreter is a link into the machine that made it. uv's builds of CPython find their library beside
themselves, so one of them is packed as it is, with its links replaced by the files that they lead to.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from spark_steps.errors import FruitsError

# Packages of the standard library that no step needs: tests, windows, and what installs packages.
LEFT_OUT = ("ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo")
# Exact names, but for files that only compilers need: a pattern such as thread* would take threading along.
_IGNORED = (*LEFT_OUT, "test", "tests", "site-packages", "__pycache__", "config-*-linux-gnu", "*.a")


def fetch(python: str, platform: str, run_uv: Callable[..., str], folder: Path) -> Path:
    """Downloads uv's CPython for a platform, and returns its root.

    Args:
        python: Minor version, such as ``3.11``.
        platform: As uv names it, such as ``linux-x86_64-gnu``.
        run_uv: Runs uv with some arguments.
        folder: Where it is put.

    Raises:
        FruitsError: It cannot be downloaded.
    """
    run_uv("python", "install", "--install-dir", str(folder), "--no-bin", f"cpython-{python}-{platform}")
    roots = [path for path in folder.iterdir() if (path / "bin").is_dir() and not path.is_symlink()]
    if len(roots) != 1:
        raise FruitsError(f"uv has put no single CPython {python} into {folder}: {[path.name for path in roots]}.")
    return roots[0]


def lay_out(python: str, root: Path, packages: Path, target: Path) -> None:
    """Lays an interpreter and packages out as one environment, of files alone.

    Args:
        python: Minor version, such as ``3.11``.
        root: Root of the interpreter: ``bin`` and ``lib`` lie below it.
        packages: The packages, as they lie in ``site-packages``.
        target: A new folder.
    """
    library = f"lib/python{python}"
    ignored = shutil.ignore_patterns(*_IGNORED)
    # Copies what links lead to: there may be no links, and no other machine has their targets.
    shutil.copytree(root / library, target / library, ignore=ignored)
    for shared in sorted((root / "lib").glob("libpython*.so*")):
        shutil.copy(shared, target / "lib" / shared.name)
    (target / "bin").mkdir()
    # One name: the interpreter finds its library by the folder that it lies in, whatever it is called.
    shutil.copy((root / "bin" / f"python{python}").resolve(), target / "bin" / "python")
    # Engines that know an environment by its archive alone may start it by another name that a venv has.
    for name in ("python3", f"python{python}"):
        (target / "bin" / name).write_text('#!/bin/sh\nexec "$(dirname "$0")/python" "$@"\n')
        (target / "bin" / name).chmod(0o755)
    shutil.copytree(packages, target / library / "site-packages", dirs_exist_ok=True)
