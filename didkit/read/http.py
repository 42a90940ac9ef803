"""Requests over HTTP that end: time limits, size limits, a few retries, and errors in words."""

from __future__ import annotations

import io
import json
import random
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from didkit.errors import ReadError
from didkit.read import limits

if TYPE_CHECKING:
    from requests import Response, Session

__all__ = ["Http", "Web", "plain"]

_CHUNK = 65_536
_REDIRECTS = 5
_STEP = 16_384  # bytes of gzip at a time
_MEMBERS = 10_000  # more than the largest answer has in blocks of 64 KB
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Http:
    """How patient and how trusting requests are.

    Parameters
    ----------
    timeout : float
        Seconds to wait for a connection, and for each part of an answer.
    patience : float
        Seconds that one whole answer may take, its headers, redirects and unpacking included.
    retries : int
        How often a request is repeated after a fault that may pass.
    wait : float
        Seconds before the first repeat; doubled each time, plus up to a half by chance.
    longest : float
        Most seconds to wait before any repeat, whatever the server asks for.
    packed, unpacked : int
        Most bytes of an answer, as sent and after decompression.
    seed : int
        Of the chance in the waits.
    sleep, clock, now : callable
        For tests: how to wait, what shows passing seconds, and the time of day.
    """

    timeout: float = 30.0
    patience: float = 600.0
    retries: int = 4
    wait: float = 1.0
    longest: float = 60.0
    packed: int = 100_000_000
    unpacked: int = limits.LIMITS.file_bytes
    seed: int = 0
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), compare=False)


class _Passing(Exception):  # noqa: N818  (never leaves this file)
    """A fault that may pass: try again."""

    def __init__(self, found: str, todo: str, after: float | None = None) -> None:
        self.found, self.todo, self.after = found, todo, after
        super().__init__(found)


class Web:
    """One host, asked again where that may help.

    Parameters
    ----------
    base : str
        Address that every path is put behind: http or https.
    http : Http
        Limits.
    said : callable
        Told of each repeat, in words.
    """

    def __init__(self, base: str, http: Http, said: Callable[[str], None]) -> None:
        self.base = base.rstrip("/") + "/"
        self.http = http
        self._said = said
        self._chance = random.Random(http.seed)  # noqa: S311  (no secret: it spreads waits)
        self._session: Session | None = None
        self._end = 0.0
        parts = urlsplit(self.base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ReadError(
                needed="an address that begins with http:// or https://",
                found=repr(base),
                where="base_url=",
                todo="leave it out for the public service",
            )

    @property
    def service(self) -> str:
        """Name of the service: host, port and path, without a scheme or a password."""
        parts = urlsplit(self.base)
        return plain(parts.netloc.rpartition("@")[2] + parts.path.rstrip("/"))

    def get_json(self, path: str, query: Mapping[str, str]) -> Any:
        """Ask for JSON."""
        return self._ask(path, query, None, _json)

    def post_json(self, path: str, query: Mapping[str, str], body: Any) -> Any:
        """Send JSON and get JSON."""
        return self._ask(path, query, json.dumps(body, ensure_ascii=False).encode("utf-8"), _json)

    def get_bytes(self, path: str, query: Mapping[str, str]) -> bytes:
        """Ask for a file; one that is gzip is unpacked, within the limit."""

        def unpack(data: bytes, where: str) -> bytes:
            return self._unzipped(data, where) if data[:2] == b"\x1f\x8b" else data

        data: bytes = self._ask(path, query, None, unpack)
        return data

    def _ask(
        self,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        understood: Callable[[bytes, str], Any],
    ) -> Any:
        """Ask, and ask again after a fault that may pass."""
        where = f"{'GET' if body is None else 'POST'} {urlsplit(self.base).hostname}/{path}"
        for attempt in range(self.http.retries + 1):
            self._end = self.http.clock() + self.http.patience
            try:
                return understood(self._once(path, query, body, where), where)
            except _Passing as fault:
                if attempt == self.http.retries:
                    raise ReadError(
                        needed="an answer from the service",
                        found=f"{fault.found}, {attempt + 1} time(s)",
                        where=where,
                        todo=fault.todo,
                    ) from fault
                wait = self._wait(attempt, fault.after)
                self._said(f"{where}: {fault.found}; asked again after {wait:.1f} s")
                self.http.sleep(wait)
        raise AssertionError("unreachable")

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next try: doubling, with some chance; at least what was asked for."""
        wait = self.http.wait * 2.0**attempt * (1 + 0.5 * self._chance.random())
        return float(min(max(wait, asked or 0.0), self.http.longest))

    def _once(self, path: str, query: Mapping[str, str], body: bytes | None, where: str) -> bytes:
        """Ask one time, following redirects that stay on the host."""
        session = self._opened()
        import requests
        import urllib3

        url = self.base + path
        params: Mapping[str, str] | None = query
        for _ in range(_REDIRECTS + 1):
            try:
                with session.request(
                    "GET" if body is None else "POST",
                    url,
                    params=params,
                    data=body,
                    headers={
                        "Accept": "application/json, text/csv",
                        "Accept-Encoding": "gzip",
                        "User-Agent": "didkit",
                        **({} if body is None else {"Content-Type": "application/json"}),
                    },
                    timeout=self.http.timeout,
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    if answer.is_redirect:
                        url, params = self._redirected(answer, body, where), None
                        continue
                    data = self._body(answer, where)
                    self._refuse_status(answer, data, where)
                    return data
            except requests.exceptions.SSLError as error:
                raise ReadError(
                    needed="a host that proves who it is (TLS)",
                    found=plain(str(error)),
                    where=where,
                    todo="check the address and this machine's certificates; it is never skipped",
                ) from error
            except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
                self._refuse_late()
                raise _Passing(
                    f"no answer within {self.http.timeout:g} s",
                    "try later, ask for less, or allow more: Http(timeout=…)",
                ) from error
            except (
                requests.exceptions.ConnectionError,
                urllib3.exceptions.HTTPError,
                ConnectionError,
            ) as error:
                raise _Passing(
                    _broken(error), "check the network and the address; try later"
                ) from (error)
            except requests.exceptions.RequestException as error:
                raise ReadError(
                    needed="a request that can be sent",
                    found=plain(str(error)),
                    where=where,
                    todo="check base_url= and the id",
                ) from error
        raise ReadError(
            needed=f"at most {_REDIRECTS} redirects",
            found="more",
            where=where,
            todo="check base_url=",
        )

    def _opened(self) -> Session:
        if self._session is None:
            try:
                import requests  # noqa: F401
            except ImportError as error:
                raise ReadError(
                    needed="the package requests",
                    found="it is not installed",
                    where="didkit.read.ees",
                    todo="install didkit-evaluation[ees], or download the CSV and use "
                    "didkit.read_ees_csv",
                ) from error
            self._session = _session_until(self._left)
        return self._session

    def _left(self) -> float:
        """Seconds of patience left with this answer."""
        return self._end - self.http.clock()

    def _refuse_late(self) -> None:
        if self._left() <= 0:
            raise _Passing(
                f"an answer that took more than {self.http.patience:g} s",
                "try later, ask for less, or allow more: Http(patience=…)",
            )

    def _unzipped(self, data: bytes, where: str) -> bytes:
        return _unzip(data, self.http.unpacked, where, self._refuse_late)

    def _redirected(self, answer: Response, body: bytes | None, where: str) -> str:
        """Where a redirect leads, if that is the same host and no less safe."""
        target = urljoin(answer.url, answer.headers["Location"])
        old, new = urlsplit(answer.url), urlsplit(target)
        if not _same_host(old, new) or (body is not None and answer.status_code not in (307, 308)):
            raise ReadError(
                needed="an answer from the same host",
                found=f"a redirect ({answer.status_code}) to {plain(target)}",
                where=where,
                todo="give the new address as base_url= if you trust it",
            )
        return target

    def _body(self, answer: Response, where: str) -> bytes:
        """Read an answer within the limits, and hold it against its announced length."""
        coding = answer.headers.get("Content-Encoding", "identity").strip().casefold()
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise ReadError(
                needed="an answer in plain or gzip coding",
                found=repr(plain(coding)),
                where=where,
                todo="check base_url=; a proxy may change answers",
            )
        parts: list[bytes] = []
        size = 0
        for part in answer.raw.stream(_CHUNK, decode_content=False):
            parts.append(part)
            size += len(part)
            if size > self.http.packed:
                raise _too_large(self.http.packed, where)
            self._refuse_late()
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size:
            raise _Passing(f"{size:,} bytes of {announced} announced", "try later")
        data = b"".join(parts)
        return self._unzipped(data, where) if "gzip" in coding else data

    def _refuse_status(self, answer: Response, data: bytes, where: str) -> None:
        status = answer.status_code
        if status == 200:
            return
        found = f"status {status} ({_message(data) or plain(answer.reason or '') or 'no reason'})"
        if status in _AGAIN or status >= 500:
            after = _retry_after(answer.headers.get("Retry-After", ""), self.http.now())
            raise _Passing(found, "try later: the service is busy or has a fault", after)
        known = {
            400: "check indicators, filters and periods against EES.meta()",
            401: "this data set needs rights that didkit does not ask for",
            403: "this data set may be withdrawn or not public",
            404: "check the id with EES.data_sets(), and the version",
        }
        raise ReadError(
            needed="an answer with status 200",
            found=found,
            where=where,
            todo=known.get(status, "check base_url= and the request"),
        )


def plain(text: str, most: int = 200) -> str:
    r"""Shorten text from outside to one printable line.

    Examples
    --------
    >>> plain("two\n lines \x1b[31m")
    'two lines [31m'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _same_host(old: SplitResult, new: SplitResult) -> bool:
    try:
        ports = old.port == new.port or (old.scheme, new.scheme) == ("http", "https")
    except ValueError:
        return False
    safe = new.scheme == old.scheme or (old.scheme, new.scheme) == ("http", "https")
    return old.hostname == new.hostname and ports and safe and not new.username


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Passing(
            f"{len(data):,} bytes that are not JSON ({plain(str(error))})",
            "try later; a login or error page may stand in its place",
        ) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _session_until(left: Callable[[], float]) -> Session:
    """Make a session of which every read, of headers too, ends when no seconds are left.

    A time limit of a socket starts again with each byte; here it is never more than what is left.
    """
    import http.client
    import socket

    import requests
    import requests.adapters
    import urllib3

    class Timed(io.RawIOBase):
        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock
            self._most = sock.gettimeout()
            self._raw = sock.makefile("rb", buffering=0)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int | None:
            seconds = left()
            if seconds <= 0:
                raise TimeoutError("no patience left")
            self._sock.settimeout(seconds if self._most is None else min(self._most, seconds))
            return self._raw.readinto(buffer)

        def close(self) -> None:
            self._raw.close()
            super().close()

    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp.close()
            self.fp = io.BufferedReader(Timed(sock))

    class Plain(urllib3.connection.HTTPConnection):
        response_class = Answer

    class Secure(urllib3.connection.HTTPSConnection):
        response_class = Answer

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    pools = {"http": PlainPool, "https": SecurePool}

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            if not proxy.casefold().startswith("socks"):
                manager.pool_classes_by_scheme = pools
            return manager

    class Here(requests.Session):
        def get_redirect_target(self, resp: Response) -> None:
            """Follow nothing: `requests` would first read the whole body, of any size."""

    session = Here()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session


def _unzip(data: bytes, most: int, where: str, late: Callable[[], None]) -> bytes:
    """Unpack gzip step by step, one member after another, and stop at the limits."""
    made = io.BytesIO()
    members, unpacker = 0, None
    for start in range(0, len(data), _STEP):
        late()
        rest = data[start : start + _STEP]  # a member leaves the rest as a copy: never a long one
        while rest:
            if unpacker is None:
                unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
                members += 1
            if members > _MEMBERS:
                raise ReadError(
                    needed=f"gzip of at most {_MEMBERS:,} members",
                    found="more",
                    where=where,
                    todo="check base_url=; no table is packed like this",
                )
            try:
                made.write(unpacker.decompress(rest, most - made.tell() + 1))
            except zlib.error as error:
                raise _Passing(f"gzip that does not unpack ({error})", "try later") from error
            if made.tell() > most:
                raise _too_large(most, where)
            rest = unpacker.unused_data
            if unpacker.eof:
                unpacker = None
    if unpacker is not None:
        raise _Passing("gzip that ends early", "try later")
    return made.getvalue()


def _too_large(most: int, where: str) -> ReadError:
    return ReadError(
        needed=f"an answer of at most {most:,} bytes",
        found="more",
        where=where,
        todo="ask for less, or allow more: Http(packed=…, unpacked=…)",
    )


def _broken(error: BaseException) -> str:
    """Say in a few words how a connection broke."""
    text = plain(str(error), 400).casefold()
    if "refused" in text:
        return "connection refused"
    if "incompleteread" in text or "broken" in text:
        return "an answer that broke off"
    if "resolve" in text or "getaddrinfo" in text:
        return "a host name that is not known"
    return f"a broken connection ({type(error).__name__})"


def _message(data: bytes) -> str:
    """Read the service's own words in the body of an error."""
    try:
        body = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return plain(data[:1000].decode("utf-8", "replace"))
    if not isinstance(body, dict):
        return plain(str(body))
    said = [str(body["title"])] if isinstance(body.get("title"), str) else []
    errors = body.get("errors")
    if isinstance(errors, dict):
        errors = [
            {"path": path, **(one if isinstance(one, dict) else {"message": one})}
            for path, some in errors.items()
            for one in (some if isinstance(some, list) else [some])
        ]
    for one in errors if isinstance(errors, list) else []:
        if isinstance(one, dict):
            said.append(" ".join(str(one[key]) for key in ("path", "message") if one.get(key)))
    return plain("; ".join(said))


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for: a number of them, or a date."""
    if text.strip().isdecimal():
        return float(text.strip()[:9])
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp(), 0.0)
