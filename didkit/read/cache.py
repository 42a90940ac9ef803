"""Answers kept on disk: written whole or not at all, and held against their checksum when read."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from didkit.errors import ReadError
from didkit.read import limits
from didkit.read.files import digest

__all__ = ["Cache", "Found"]

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAGIC = b"didkit cache 2\n"


@dataclass(frozen=True)
class Found:
    """What the cache has: bytes, or None; and whether an entry was there that cannot be trusted."""

    data: bytes | None
    damaged: bool = False


@dataclass(frozen=True)
class Cache:
    """A folder of entries, by service, data set, version and name.

    Parameters
    ----------
    folder : path
        Made when the first entry is written.
    service : str
        Address that the entries are from: what another service said is never read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = Cache(Path(folder), "https://example.org/v1/")
    ...     cache.write("set-1", "1.0", "meta", b"{}")
    ...     cache.read("set-1", "1.0", "meta").data
    b'{}'
    """

    folder: Path
    service: str

    def read(self, data_set: str, version: str, name: str) -> Found:
        """Return an entry of this name whose checksum fits; anything else is no entry."""
        key, place = self._place(data_set, version, name)
        try:
            with place.open("rb") as handle:
                held = handle.read(limits.LIMITS.file_bytes + 1000)
        except FileNotFoundError:
            return Found(None)
        except OSError:
            return Found(None, damaged=True)
        head, _, signed = held.removeprefix(_MAGIC).partition(b"\n")
        if (
            not held.startswith(_MAGIC)
            or head != digest(signed).encode("ascii")
            or not signed.startswith(key)
        ):
            return Found(None, damaged=True)
        return Found(signed.removeprefix(key))

    def write(self, data_set: str, version: str, name: str, data: bytes) -> None:
        """Write an entry beside its place and move it there, so that half of one is never seen.

        Raises
        ------
        ReadError
            If the folder cannot be written to.
        """
        key, place = self._place(data_set, version, name)
        signed = key + data
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=place.parent, prefix=".part-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + digest(signed).encode("ascii") + b"\n")
                    file.write(signed)
                Path(made).replace(place)
            finally:
                with suppress(FileNotFoundError):
                    Path(made).unlink()
        except OSError as error:
            raise ReadError(
                needed="a cache folder that can be written to",
                found=error.strerror or type(error).__name__,
                where=f"cache={self.folder.name!r}",
                todo="choose another folder, or leave cache= out",
            ) from error

    def _place(self, data_set: str, version: str, name: str) -> tuple[bytes, Path]:
        """What an entry is of, and where; a name from outside never leads out of the folder."""
        for part in (data_set, version, name):
            if not _SAFE.fullmatch(part) or ".." in part:
                raise ReadError(
                    needed="an id or version of letters, digits, full stops and hyphens",
                    found=repr(part[:120]),
                    where="the cache",
                    todo="take the id from EES.data_sets()",
                )
        service = digest(self.service.encode("utf-8"))
        key = " ".join((service, data_set, version, name)).encode("ascii") + b"\n"
        return key, self.folder / service[:16] / data_set / version / name
