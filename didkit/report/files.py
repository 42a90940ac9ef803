"""Write whole or not at all: a reader sees the old file or folder or the new, never half of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from didkit.panel.safe import write_whole

__all__ = ["staged", "write_whole"]

_LAST = "report.html"  # a reader who sees the new page finds everything else new


@contextmanager
def staged(folder: str | PathLike[str]) -> Iterator[Path]:
    """Collect the files of a report in a hidden folder, and move them into place at the end.

    A new folder appears with one rename. In a folder that exists each file is replaced whole,
    ``report.html`` last; other files in it stay. If anything is raised on the way, an interruption
    among it, the hidden folder is taken away and what was there before is as it was; an
    interruption while files are moved leaves some old and some new, each whole.

    Parameters
    ----------
    folder : str or path
        Where the files shall be; its parents are made.

    Yields
    ------
    Path
        The hidden folder to write to: files, no folders.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or is a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with staged(Path(place) / "report") as hidden:
    ...         _ = (hidden / "a.txt").write_text("whole", encoding="utf-8")
    ...     [file.name for file in (Path(place) / "report").iterdir()]
    ['a.txt']
    """
    target = Path(folder).absolute()
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    made = [one for one in target.parents if not one.exists()]
    exists = target.is_dir()
    hidden = target if exists else target.parent
    hidden = hidden / f".{target.name or 'report'}.{os.getpid()}.part"
    done = False
    try:
        hidden.mkdir(parents=True)
        yield hidden
        _move(hidden, target)
        done = True
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if not done and not target.exists():
            for one in made:  # the nearest first; another process may have put something there
                if one.is_dir() and not any(one.iterdir()):
                    one.rmdir()


def _move(hidden: Path, target: Path) -> None:
    if not target.exists():
        hidden.rename(target)
        return
    files = sorted(hidden.iterdir(), key=lambda one: (one.name == _LAST, one.name))
    for one in files:
        if (target / one.name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), one.name)
    for one in files:
        one.replace(target / one.name)
