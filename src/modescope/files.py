"""Whole files or none: everything is written under a temporary name and renamed into place.

A place is on this machine (`pathlib.Path`) or at another address that fsspec knows (`upath.UPath`).
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from upath import UPath

from modescope import remote
from modescope.errors import DiskFullError, RequestError
from modescope.types import Place

TEMPORARY = ".partial-"
_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "file too large"}


@contextmanager
def room_for(path: Place) -> Iterator[None]:
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


def place(address: str) -> Place:
    """What a person wrote as a path or an address.

    Args:
        address: A path, or an address with a scheme, as `s3://bucket/run`.

    Raises:
        RequestError: Nothing that is installed reads such addresses.
    """
    scheme, colon, rest = address.partition("://")
    if not colon:
        return Path(address)
    if scheme in ("file", "local"):
        return Path(rest)
    try:
        # what other machines have written meanwhile must be seen, so nothing is remembered
        found = UPath(address, use_listings_cache=False)
        _ = found.fs
    except (ImportError, ValueError) as error:
        raise RequestError(f"{address} cannot be used: {str(error).rstrip('.')}.") from error
    return found


def write_bytes(path: Place, content: bytes) -> None:
    """Write a file so that readers see the old content or the new one, also after a crash.

    Raises:
        DiskFullError: There is no room for it; the old content stands.
    """
    if not isinstance(path, Path):
        remote.write(path, content, path.with_name(_temporary_name(path)))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path))
    with room_for(path):
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Place, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


@contextmanager
def replaced_folder(path: Place) -> Iterator[Path]:
    """A new empty folder to fill, which takes the place of `path` when it is whole.

    At another address than this machine's, it is filled here and sent there file by file.

    Yields:
        The folder to fill.

    Raises:
        DiskFullError: There is no room for it; the old folder stands.
    """
    if not isinstance(path, Path):
        with TemporaryDirectory() as folder:
            yield Path(folder)
            fill_folder(path, Path(folder))
            remote.remove_others(path, Path(folder))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path))
    outgoing = path.with_name(_temporary_name(path))
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


def fill_folder(path: Place, source: Path) -> None:
    """Put every file below `source` at the same place below `path`, one whole file after another.

    Raises:
        DiskFullError: There is no room for one; those before it are there.
    """
    for file in sorted(source.rglob("*")):
        if file.is_file():
            write_bytes(path.joinpath(*file.relative_to(source).parts), file.read_bytes())


@contextmanager
def scratch_folder(parent: Place) -> Iterator[Path]:
    """An empty folder on this machine for as long as it is needed; `sweep` removes one that a killed process left.

    Yields:
        The folder, below `parent` if that is on this machine.

    Raises:
        DiskFullError: There was no room for what was written into it.
    """
    if not isinstance(parent, Path):
        with TemporaryDirectory() as folder, room_for(Path(folder)):
            yield Path(folder)
        return
    folder = parent / _temporary_name(parent / "scratch")
    with room_for(folder):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Place) -> None:
    """Remove what killed writers left below `folder`: ours, and zarr's `.partial` files."""
    if not isinstance(folder, Path):
        remote.sweep(folder, TEMPORARY)
        return
    for leftover in [*folder.rglob(f"{TEMPORARY}*"), *folder.rglob("*.partial")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def modified(path: Place) -> float:
    """When a file was written last, in seconds since 1970; 0 at an address that does not say."""
    return float(path.stat().st_mtime)


def _temporary_name(path: Place) -> str:
    """A name that no other writer has: several machines may write below one folder."""
    return f"{TEMPORARY}{token_hex(4)}-{path.name}"


def sha256(path: Place) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
