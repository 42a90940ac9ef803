"""Where a key stands in a TOML file: `tomllib` says what a file holds, not on which line."""

from __future__ import annotations

import re
import tomllib

__all__ = ["Path", "line_of", "locate", "nesting"]

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR_END = re.compile(r"[,\]}#\n]")
_STRINGS = ('"""', "'''", '"', "'")


def locate(text: str) -> dict[Path, int]:
    r"""Find the line of every key, table and array element.

    Parameters
    ----------
    text : str
        Valid TOML (`tomllib` has read it), with ``\n`` at the ends of lines.

    Returns
    -------
    dict
        Path of keys and of positions in arrays → line, from 1. A table is where its header
        stands, or the first key that makes it; ``()`` is line 1.

    Examples
    --------
    >>> locate('title = "a"\n\n[data]\nfiles = [\n  {path = "x"},\n]')[("data", "files", 0, "path")]
    5
    """
    return _Scanner(text).read()


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path, or of the nearest table that holds it.

    Examples
    --------
    >>> line_of({(): 1, ("window",): 4}, ("window", "last"))
    4
    """
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def nesting(text: str) -> int:
    """Count opening brackets before any closing one, at most: how deep values may be nested.

    Brackets in strings count too, so that it is never too small.

    Examples
    --------
    >>> nesting("a = [[1], [2]]")
    2
    """
    deepest = depth = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth = max(depth - 1, 0)
    return deepest


class _Scanner:
    """Walks through valid TOML once, and notes the line at which each key starts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {(): 1}
        self.counts: dict[Path, int] = {}  # tables so far in each array of tables
        self._line = 1
        self._counted = 0

    def read(self) -> dict[Path, int]:
        table: Path = ()
        while self.skip(lines=True):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.lines

    def line(self) -> int:
        """Return the line of the present position; positions only grow."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def skip(self, *, lines: bool) -> bool:
        """Go past blanks and comments, and past ends of lines if asked; False at the end."""
        blanks = " \t\r\n" if lines else " \t"
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter in blanks:
                self.at += 1
            elif letter == "#" and lines:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return True
        return False

    def header(self) -> Path:
        """Read ``[a.b]`` or ``[[a.b]]``; return the path of the table that it opens."""
        many = self.text.startswith("[[", self.at)
        line = self.line()
        self.at += 2 if many else 1
        keys = self.keys()
        self.at += 2 if many else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self.entered((*path, key), line)
        path = (*path, keys[-1])
        if many:
            self.lines.setdefault(path, line)
            n = self.counts.get(path, 0)
            self.counts[path] = n + 1
            path = (*path, n)
        self.lines.setdefault(path, line)
        return path

    def entered(self, path: Path, line: int) -> Path:
        """Note a table on the way; in an array of tables it is the last one."""
        self.lines.setdefault(path, line)
        return (*path, self.counts[path] - 1) if path in self.counts else path

    def keys(self) -> list[str]:
        """Read a key, dotted or not, and the blanks around it."""
        found = []
        while True:
            self.skip(lines=False)
            found.append(self.key())
            self.skip(lines=False)
            if self.text[self.at] != ".":
                return found
            self.at += 1

    def key(self) -> str:
        if self.text[self.at] in "\"'":
            start = self.at
            self.string()
            quoted = self.text[start : self.at]
            return str(tomllib.loads(f"key = {quoted}")["key"])
        found = _BARE.match(self.text, self.at)
        if found is None:  # the text was not valid TOML
            raise ValueError(f"no key at position {self.at}")
        self.at = found.end()
        return found[0]

    def pair(self, table: Path) -> None:
        """Read ``key = value``."""
        line = self.line()
        keys = self.keys()
        path = table
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.at += 1  # the sign "="
        self.skip(lines=False)
        self.value(path)

    def value(self, path: Path) -> None:
        letter = self.text[self.at]
        if letter in "\"'":
            self.string()
        elif letter == "[":
            self.array(path)
        elif letter == "{":
            self.inline(path)
        else:
            end = _SCALAR_END.search(self.text, self.at)
            self.at = len(self.text) if end is None else end.start()

    def string(self) -> None:
        """Go past a string of any of the four kinds."""
        quote = next(one for one in _STRINGS if self.text.startswith(one, self.at))
        self.at += len(quote)
        while not self.text.startswith(quote, self.at):
            if self.at >= len(self.text):
                raise ValueError("a string without an end")
            self.at += 2 if self.text[self.at] == "\\" and quote[0] == '"' else 1
        self.at += len(quote)
        if len(quote) == 3:  # one or two quotes may stand before the closing three
            while self.text.startswith(quote[0], self.at):
                self.at += 1

    def array(self, path: Path) -> None:
        self.at += 1
        n = 0
        while self.skip(lines=True) and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.lines[(*path, n)] = self.line()
            self.value((*path, n))
            n += 1
        self.at += 1

    def inline(self, path: Path) -> None:
        self.at += 1
        while self.skip(lines=True) and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.pair(path)
        self.at += 1
