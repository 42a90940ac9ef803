"""Bytes of a file, a folder or a zip, within limits; nothing is unpacked to disk."""

from __future__ import annotations

import difflib
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath

from didkit.errors import ReadError, first_few
from didkit.read import limits

__all__ = [
    "File",
    "Listing",
    "as_path",
    "check_zip",
    "digest",
    "is_table",
    "list_files",
    "read_path",
    "table_paths",
]

# What a damaged or unsupported zip raises when it is opened or a member is read.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,  # encrypted
    ValueError,  # a name or an offset that makes no sense
)
_WEB = re.compile(r"[a-z]{3,5}://", re.IGNORECASE)
_MAGIC = (
    (b"%PDF", "a PDF"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"PAR1", "a parquet file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "an image"),
)


@dataclass(frozen=True)
class File:
    """A file that can be read: its name without folders, and how to get its bytes."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Listing:
    """Files found at a path: one that was named, or all of a folder or zip."""

    name: str
    kind: str
    files: tuple[File, ...]


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_table(name: str) -> bool:
    """Whether a file in a folder claims to be a table, and not metadata beside one.

    Examples
    --------
    >>> is_table("cin.CSV"), is_table("cin.meta.csv"), is_table("._cin.csv")
    (True, False, False)
    """
    lower = name.casefold()
    hidden = lower.startswith((".", "~$"))
    return lower.endswith((".csv", ".parquet")) and not lower.endswith(".meta.csv") and not hidden


def table_paths(place: Path) -> tuple[Path, ...]:
    """Return the files of a folder that are taken for tables, in the order of reading.

    Raises
    ------
    ReadError
        If there are too many files.
    """
    return tuple(one for one in _paths(place) if is_table(one.name))


def list_files(path: str | PathLike[str]) -> Listing:
    """List what is at a path: a file, a folder (with its folders) or a zip.

    Raises
    ------
    ReadError
        If there is nothing, it cannot be read, or it is over a limit.
    """
    place = as_path(path)
    if place.is_dir():
        return _folder(place)
    data = read_path(place)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip(data, place.name)
    return Listing(place.name, "file", (File(place.name, lambda: data),))


def as_path(path: object) -> Path:
    """Return what a user gave as a path, or refuse what is none.

    Raises
    ------
    ReadError
        If it is a web address, several paths, or no path at all.
    """
    if isinstance(path, str) and _WEB.match(path):
        raise ReadError(
            needed="a file, a folder or a zip on this computer",
            found="a web address",
            where=path[:100],
            todo="download the file first; didkit.read.ees reads from the service's API",
        )
    if not isinstance(path, (str, PathLike)):
        raise ReadError(
            needed="one path, as text or pathlib.Path",
            found=f"a {type(path).__name__}",
            where="the path",
            todo="read several files one by one, or name their folder",
        )
    return Path(path)


def _nothing(place: Path) -> ReadError:
    """Say that there is nothing at a path, and what there is that is called like it."""
    folder = place.parent
    beside = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    near = difflib.get_close_matches(place.name, beside, n=2)
    return ReadError(
        needed="a file or folder that exists",
        found="nothing of that name" + ("" if folder.is_dir() else ", and no folder for it"),
        where=str(place),
        todo=f"did you mean {' or '.join(near)}?"
        if near
        else "check the path, and the folder that the program runs in",
    )


def read_path(place: Path) -> bytes:
    """Read a file, if it is there and within the limit.

    Raises
    ------
    ReadError
        If there is no such file, it cannot be read, or it is too large.
    """
    if not place.exists():
        raise _nothing(place)
    if place.is_dir():
        raise ReadError(
            needed="a file",
            found="a folder",
            where=str(place),
            todo="name the file in it",
        )
    try:
        with place.open("rb") as handle:
            data = handle.read(limits.LIMITS.file_bytes + 1)
    except OSError as error:
        raise ReadError(
            needed="a file that can be read",
            found=error.strerror or type(error).__name__,
            where=place.name,
            todo="check the rights to the file and that nothing holds it",
        ) from error
    _refuse_large(len(data), place.name)
    return data


def check_zip(packed: zipfile.ZipFile, name: str, most: int) -> list[zipfile.ZipInfo]:
    """Return the members of a zip that is within the limits and unpacks to `most` bytes or fewer.

    Raises
    ------
    ReadError
        If there are too many members, they unpack to too much, or one is encrypted.
    """
    members = [info for info in packed.infolist() if not info.is_dir()]
    total = sum(info.file_size for info in members)
    swollen = [
        _short(info.filename)
        for info in members
        if info.file_size > 1_000_000
        and info.file_size > limits.LIMITS.ratio * max(info.compress_size, 1)
    ]
    if len(members) > limits.LIMITS.members or total > most or swollen:
        raise ReadError(
            needed=f"a zip of at most {limits.LIMITS.members:,} files that unpack to at most "
            f"{most:,} bytes, none more than {limits.LIMITS.ratio} times its "
            "packed size",
            found=f"{len(members):,} files, {total:,} bytes"
            + (f"; swollen: {first_few(swollen)}" if swollen else ""),
            where=name,
            todo="unpack it yourself if you trust it, and read the folder",
        )
    usual = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    strange = [_short(info.filename) for info in members if info.compress_type not in usual]
    if strange:
        raise ReadError(
            needed="a zip packed in the ordinary way (stored or deflated)",
            found=f"another way for {first_few(strange)}",
            where=name,
            todo="unpack it yourself, and read the folder",
        )
    locked = [_short(info.filename) for info in members if info.flag_bits & 1]
    if locked:
        raise ReadError(
            needed="a zip without a password",
            found=f"encrypted: {first_few(locked)}",
            where=name,
            todo="unpack it yourself, and read the folder",
        )
    return members


def read_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Read one member, whatever size its header claims.

    Raises
    ------
    ReadError
        If it is damaged or too large.
    """
    try:
        with packed.open(info) as handle:
            data = handle.read(limits.LIMITS.file_bytes + 1)
    except _BROKEN as error:
        raise _broken_zip(f"{name}, member {info.filename}", error) from error
    _refuse_large(len(data), _short(f"{name}, member {info.filename}"))
    return data


def open_zip(data: bytes, name: str) -> zipfile.ZipFile:
    """Open a zip in memory.

    Raises
    ------
    ReadError
        If it is damaged.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN as error:
        raise _broken_zip(name, error) from error


def refuse_binary(data: bytes, name: str) -> None:
    """Refuse what cannot be text, and say what it looks like.

    Raises
    ------
    ReadError
        If the file is empty, a known binary format, a web page, or holds NUL bytes.
    """
    if not data.strip(b" \t\r\n\xef\xbb\xbf"):
        raise ReadError(
            needed="a CSV file with a header and rows",
            found=f"an empty file ({len(data)} bytes)",
            where=name,
            todo="download it again",
        )
    looks = next((what for magic, what in _MAGIC if data.startswith(magic)), "")
    if data[:2] == b"PK":
        looks = "a zip or an Excel workbook"
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        looks = "text in UTF-16"
    elif data.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"<":
        looks = "a web page or XML"
    elif not looks and b"\0" in data:
        looks = f"binary data (the first NUL byte is at position {data.index(0):,})"
    if looks:
        raise ReadError(
            needed="a CSV file: plain text, values separated by commas",
            found=looks,
            where=name,
            todo="download the CSV (a login or error page may have been saved in its place), or "
            "save the sheet as 'CSV UTF-8'",
        )


def _folder(place: Path) -> Listing:
    # The default argument binds this round's path.
    files = tuple(File(one.name, lambda one=one: read_path(one)) for one in _paths(place))  # type: ignore[misc]
    return Listing(place.name, "folder", files)


def _paths(place: Path) -> list[Path]:
    """Find every file below a folder, but for those in hidden folders."""
    found: list[Path] = []
    for one in place.rglob("*"):
        folders = one.relative_to(place).parts[:-1]
        if one.is_file() and not any(name.startswith(".") for name in folders):
            found.append(one)
        if len(found) > limits.LIMITS.members:
            raise ReadError(
                needed=f"a folder with at most {limits.LIMITS.members:,} files",
                found="more",
                where=place.name,
                todo="name the folder that holds the release",
            )
    return sorted(found, key=lambda one: (one.name.casefold(), one.parts))


def _zip(data: bytes, name: str) -> Listing:
    packed = open_zip(data, name)
    members = check_zip(packed, name, limits.LIMITS.total_bytes)
    if any(info.filename == "[Content_Types].xml" for info in members):
        raise ReadError(
            needed="a CSV file, or a folder or zip of them",
            found="an Excel workbook",
            where=name,
            todo="download the CSV, or save the sheet as 'CSV UTF-8'; a workbook of statistical "
            "neighbours is read by didkit.read_neighbours",
        )
    found = [(PurePosixPath(info.filename.replace("\\", "/")), info) for info in members]
    found.sort(key=lambda pair: (pair[0].name.casefold(), pair[0].parts))
    files = tuple(
        File(one.name, lambda info=info: read_member(packed, info, name))  # type: ignore[misc]
        for one, info in found
    )
    return Listing(name, "zip", files)


def _refuse_large(size: int, name: str) -> None:
    if size > limits.LIMITS.file_bytes:
        raise ReadError(
            needed=f"a file of at most {limits.LIMITS.file_bytes:,} bytes",
            found="more",
            where=name,
            todo="check that it is a published table; the limit is didkit.read.limits.LIMITS",
        )


def _short(text: str) -> str:
    """Cut a long text: a damaged zip may give a member a name of 64 kB."""
    return text if len(text) <= 300 else text[:300] + "…"


def _broken_zip(name: str, error: BaseException) -> ReadError:
    return ReadError(
        needed="a zip that can be unpacked",
        found=_short(f"{type(error).__name__}: {error}"),
        where=_short(name),
        todo="download it again",
    )
