"""Whole files or none at addresses that are not this machine's own, through fsspec."""

from contextlib import suppress
from pathlib import Path

from upath import UPath

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "hf", "memory"})
"""Where writing an object puts it there whole or not at all, and folders are nothing but parts of names."""


def write(path: UPath, content: bytes, temporary: UPath) -> None:
    """Write a file so that readers see the old content or the new one."""
    if path.protocol in _OBJECT_STORES:
        path.fs.pipe_file(path.path, content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.fs.pipe_file(temporary.path, content)
        path.fs.mv(temporary.path, path.path)
    finally:
        with suppress(FileNotFoundError):
            path.fs.rm_file(temporary.path)


def create(path: UPath, content: bytes) -> bool:
    """Write a file if there is none, in one step that no other writer can come between; whether it was written."""
    if path.protocol not in _OBJECT_STORES:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.fs.pipe_file(path.path, content, mode="create")
    except FileExistsError:
        return False
    return True


def remove_others(path: UPath, source: Path) -> None:
    """Remove the files below `path` that have no counterpart below `source`."""
    kept = {path.joinpath(*file.relative_to(source).parts).path for file in source.rglob("*")}
    stale = [name for name in path.fs.find(path.path) if name not in kept]
    if stale:
        path.fs.rm(stale)


def sweep(folder: UPath, prefix: str) -> None:
    """Remove what killed writers left below `folder`; in an object store they leave nothing."""
    if folder.protocol not in _OBJECT_STORES:
        for leftover in folder.rglob(f"{prefix}*"):
            leftover.fs.rm(leftover.path, recursive=True)
