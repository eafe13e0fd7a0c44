"""Whole files or none: everything is written under a temporary name and renamed into place."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modescope.errors import DiskFullError

TEMPORARY = ".partial-"
_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "file too large"}


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn the operating system's ways of saying that there is no room into one error that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _NO_ROOM.get(error.errno)
        if error.errno is None and "requested and" in str(error):  # NumPy's words for a write that was cut short
            reason = "the disk is full"
        if reason is None:
            raise
        raise DiskFullError(path, reason) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new one, also after a crash.

    Raises:
        DiskFullError: There is no room for it; the old content stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with room_for(path):
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new empty folder to fill, which takes the place of `path` when it is whole.

    Yields:
        The folder to fill.

    Raises:
        DiskFullError: There is no room for it; the old folder stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    outgoing = path.with_name(f"{TEMPORARY}{os.getpid()}-old-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    with room_for(path):
        try:
            temporary.mkdir()
            yield temporary
            if path.exists():  # a folder cannot be renamed over one that is not empty
                os.replace(path, outgoing)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(outgoing, ignore_errors=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder for as long as it is needed; `sweep` removes one that a killed process left.

    Yields:
        The folder.

    Raises:
        DiskFullError: There was no room for what was written into it.
    """
    folder = parent / f"{TEMPORARY}{os.getpid()}-scratch"
    shutil.rmtree(folder, ignore_errors=True)
    with room_for(folder):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed writers left below `folder`: ours, and zarr's `.partial` files."""
    for leftover in [*folder.rglob(f"{TEMPORARY}*"), *folder.rglob("*.partial")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
