"""Where an export goes: a file or a folder, whole or not there at all; or a pipe or a device, which is written to."""

import os
import shutil
import stat
import sys
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_steps.at_exit import finally_calls, temporary_directory
from spark_steps.errors import FruitsError

STANDARD_OUTPUT = Path("-")
STANDARD_OUTPUT_DESCRIPTOR = 1


@contextmanager
def whole_or_not_at_all(target: Path, force: bool) -> Iterator[Path]:
    """Yields a temporary file, and brings it to the target when the block has succeeded.

    A regular file is replaced in one step. A symbolic link is followed: it stays, and the file that it leads to is
    replaced. A pipe or a device is never replaced: the complete export is written to it.

    Args:
        target: The file, pipe or device; ``-`` for standard output.
        force: Replace a file that exists.

    Raises:
        FruitsError: The target exists and is not to be replaced, or cannot be written.
        BrokenPipeError: The reader of a pipe has ended.
    """
    try:
        descriptor = descriptor_of(target)
        _check(target, _kind(target) if descriptor is None else stat.S_IFIFO, force)
        if is_stream(target):
            with temporary_directory("fruits-export-") as scratch:
                whole = scratch / "export"
                yield whole
                _send(whole, target if descriptor is None else descriptor)
            return
        # A link that leads nowhere is followed too, as every program does that opens it to write.
        file = Path(os.path.realpath(target))
        partial = file.with_name(f".{uuid.uuid4().hex}.partial")
        file.parent.mkdir(parents=True, exist_ok=True)
        with finally_calls(lambda: partial.unlink(missing_ok=True)):
            yield partial
            partial.replace(file)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FruitsError(f"{target} cannot be written ({error}). Check its folder, and the room there.") from error


def check_target(target: Path, force: bool) -> None:
    """Raises a FruitsError before any work where ``whole_or_not_at_all`` would refuse the file.

    Args:
        target: The file, pipe or device.
        force: Replace a file that exists.
    """
    try:
        _check(target, _kind(target), force)
    except OSError as error:
        raise FruitsError(f"{target} cannot be written ({error}). Check its folder, and the room there.") from error


def descriptor_of(target: Path) -> int | None:
    """Returns the number of the open file that ``-`` or a name such as ``/dev/stdout`` or ``/dev/fd/3`` stands for.

    A file that is opened by such a name is opened anew and written from its beginning, over what is there.

    Args:
        target: A path; None is returned where it is no such name, and no link to one.
    """
    if target == STANDARD_OUTPUT:
        return STANDARD_OUTPUT_DESCRIPTOR
    open_files = os.path.realpath("/dev/fd")
    # ``exists``: of links that lead in a circle there is no end.
    while target.is_symlink() and target.exists():
        if os.path.realpath(target.parent) == open_files and target.name.isdecimal():
            return int(target.name)
        target = target.parent / target.readlink()
    return None


def _kind(target: Path) -> int:
    """Returns the type of the file that a path leads to, as ``stat`` has it; 0 where there is none."""
    try:
        return stat.S_IFMT(target.stat().st_mode)
    except FileNotFoundError:
        return 0


def is_stream(target: Path) -> bool:
    """Returns whether the target is a pipe or a device, which is written to and not replaced."""
    return descriptor_of(target) is not None or _kind(target) in (stat.S_IFIFO, stat.S_IFCHR)


def _check(target: Path, kind: int, force: bool) -> None:
    if kind == stat.S_IFDIR:
        raise FruitsError(f"{target} is a folder. Give the name of a file.")
    if kind in (stat.S_IFBLK, stat.S_IFSOCK):
        raise FruitsError(f"{target} is a disk or a socket, which nothing is written to. Give the name of a file.")
    if kind == stat.S_IFREG and not force:
        raise FruitsError(f"{target} is there already. Give another name, or --force to replace it.")


def _send(file: Path, to: Path | int) -> None:
    with file.open("rb") as whole:
        if to == STANDARD_OUTPUT_DESCRIPTOR:
            shutil.copyfileobj(whole, sys.stdout.buffer)
            return
        with open(to, "wb", closefd=not isinstance(to, int)) as stream:
            shutil.copyfileobj(whole, stream)


@contextmanager
def whole_folder_or_none(target: Path, force: bool, names: Collection[str]) -> Iterator[Path]:
    """Yields a temporary folder, and brings it to the target when the block has succeeded.

    A symbolic link is followed. An empty folder is replaced without being asked for. Of a folder that is replaced, the
    former one is back in its place if the new one cannot be put there.

    Args:
        target: The folder.
        force: Replace a folder that exists, if nothing else is in it than an export writes.
        names: The names of all that an export of this kind writes into the folder.

    Raises:
        FruitsError: The target exists and is not to be replaced, or cannot be written.
    """
    try:
        folder = Path(os.path.realpath(target))
        _check_folder(target, folder, force, names)
        partial, former = (folder.with_name(f".{uuid.uuid4().hex}.{what}") for what in ("partial", "former"))
        with finally_calls(lambda: _put_in_order(folder, partial, former)):
            partial.mkdir(parents=True)
            yield partial
            if folder.exists() and any(folder.iterdir()):
                folder.rename(former)
            partial.rename(folder)
    except OSError as error:
        raise FruitsError(f"{target} cannot be written ({error}). Check its folder, and the room there.") from error


def _put_in_order(folder: Path, partial: Path, former: Path) -> None:
    """Deletes what is not to stay of an export that has ended, and of an interrupted one puts the former one back."""
    shutil.rmtree(partial, ignore_errors=True)
    if former.exists() and folder.exists():
        shutil.rmtree(former, ignore_errors=True)
    elif former.exists():
        former.rename(folder)


def _check_folder(target: Path, folder: Path, force: bool, names: Collection[str]) -> None:
    if descriptor_of(target) is not None or (folder.exists() and not folder.is_dir()):
        raise FruitsError(f"{target} is no folder, and this export is one. Give the name of a folder.")
    there = {one.name for one in folder.iterdir()} if folder.exists() else set()
    if there - set(names):
        raise FruitsError(
            f"{target} is a folder with other things than an export, such as {min(there - set(names))!r}, and is never "
            "replaced. Give another name."
        )
    if there and not force:
        raise FruitsError(f"{target} is there already. Give another name, or --force to replace it.")
