"""Write a file whole: a reader sees the old one or the new one, never half of it."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | PathLike[str], content: str | bytes) -> Path:
    r"""Write to a file beside it, then put that in its place.

    Parameters
    ----------
    path : str or path
        Its folder must exist.
    content : str or bytes
        Text is written as UTF-8 with ``\n`` at the ends of lines.

    Raises
    ------
    OSError
        If it cannot be written; the file that was there is as it was.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
