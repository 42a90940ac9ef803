"""Faults of the network and of answers: which pass, which stay, and what is said of them."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from read.ees_client import METRICS, Clocked, ask, client, is_right, refused
from read.ees_server import SET, EesServer, Reply, status, table_text

from didkit.read.ees import EES, Http
from didkit.read.http import Web

pytest.importorskip("requests", reason="the client needs requests (extra ees)")

# -- faults that pass, and faults that stay ------------------------------------------------------


def test_an_error_of_the_request_is_quoted_and_not_repeated(server: EesServer) -> None:
    body = json.dumps(
        {
            "title": "There are validation errors with the request.",
            "type": "x",
            "status": 400,
            "errors": [{"message": "Must not\u001b[31m be bad." + "!" * 500, "path": "criteria"}],
        }
    ).encode()
    server.fault(status(400, body))
    clocked = Clocked()
    error = refused(lambda: ask(client(server, clocked=clocked)))
    assert error.found.startswith(
        "status 400 (There are validation errors with the request.; criteria Must not [31m be bad."
    )
    assert len(error.found) < 260
    assert error.where == f"POST 127.0.0.1/data-sets/{SET}/query"
    assert "EES.meta()" in error.todo
    assert len(server.asked("/query")) == 1
    assert clocked.slept == []


def test_no_such_data_set(server: EesServer) -> None:
    error = refused(lambda: client(server).data_set("nowhere"))
    assert error.found == "status 404 (Not Found)"
    assert "EES.data_sets()" in error.todo
    assert "status 404" in refused(lambda: ask(client(server), version="9.0")).found


def test_a_fault_that_passes_is_waited_out(server: EesServer) -> None:
    server.fault(status(503, b"<html>busy</html>"), times=3)
    clocked, again = Clocked(), Clocked()
    one = client(server, clocked=clocked)
    is_right(ask(one))
    assert len(clocked.slept) == 3
    for i, wait in enumerate(clocked.slept):  # 1, 2, 4 seconds, and up to a half more
        assert 2**i <= wait <= 1.5 * 2**i
    assert len(one.log) == 3
    assert "status 503 (<html>busy</html>); asked again after" in one.log[0]
    server.fault(status(503), after=len(server.asked("/query")), times=3)
    ask(client(server, clocked=again))
    assert again.slept == clocked.slept  # chance from a seed
    third = Clocked(seed=5)
    server.fault(status(503), after=len(server.asked("/query")), times=3)
    ask(client(server, clocked=third))
    assert third.slept != clocked.slept


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429, 408])
def test_a_fault_that_stays(server: EesServer, code: int) -> None:
    server.fault(status(code, b'{"title": "It broke"}'))
    clocked = Clocked(retries=2)
    error = refused(lambda: ask(client(server, clocked=clocked)))
    assert error.found == f"status {code} (It broke), 3 time(s)"
    assert len(server.asked("/query")) == 3
    assert len(clocked.slept) == 2


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:00:20 GMT", 20.0),
        ("86400", 60.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 60.0),
    ],
)
def test_retry_after_is_honoured_up_to_a_limit(server: EesServer, asked: str, waits: float) -> None:
    server.fault(status(429, Retry_After=asked), times=1)
    clocked = Clocked()
    is_right(ask(client(server, clocked=clocked)))
    assert clocked.slept == [waits]


@pytest.mark.parametrize("asked", ["soon", "", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing(server: EesServer, asked: str) -> None:
    server.fault(status(429, Retry_After=asked), times=1)
    clocked = Clocked()
    is_right(ask(client(server, clocked=clocked)))
    assert 1.0 <= clocked.slept[0] <= 1.5


def hold(reply: Reply) -> Reply:
    reply.hold = True
    return reply


def cut(reply: Reply) -> Reply:
    reply.cut = len(reply.body) // 2
    return reply


def zipped(reply: Reply) -> Reply:
    reply.headers["Content-Encoding"] = "gzip"
    reply.body = gzip.compress(reply.body)
    return reply


def half_gzip(reply: Reply) -> Reply:
    reply = zipped(reply)
    reply.body = reply.body[:-20]
    return reply


def no_gzip(reply: Reply) -> Reply:
    reply.headers["Content-Encoding"] = "gzip"
    return reply


def half_json(reply: Reply) -> Reply:
    reply.body = reply.body[: len(reply.body) // 2]
    return reply


def not_text(reply: Reply) -> Reply:
    reply.body = b'{"a": "\xff"}'
    return reply


def nan(reply: Reply) -> Reply:
    reply.body = b'{"paging": NaN}'
    return reply


PASSING = [
    (cut, "broke off"),
    (half_gzip, "gzip that ends early"),
    (no_gzip, "gzip that does not unpack"),
    (half_json, "bytes that are not JSON"),
    (not_text, "bytes that are not JSON"),
    (nan, "bytes that are not JSON (NaN is no JSON)"),
]


@pytest.mark.parametrize(("act", "found"), PASSING)
def test_a_broken_answer(
    server: EesServer, act: Callable[[Reply], Reply], found: str, tmp_path: Path
) -> None:
    server.fault(act, times=1)
    one = client(server)
    is_right(ask(one))
    assert found in one.log[0]
    server.fault(act)
    clocked = Clocked(retries=1)
    error = refused(lambda: ask(client(server, clocked=clocked, cache=tmp_path)))
    assert found in error.found
    assert error.found.endswith(", 2 time(s)")
    assert not list(tmp_path.rglob("query*"))


@pytest.mark.parametrize("act", [cut, half_gzip])
def test_a_broken_download(server: EesServer, act: Callable[[Reply], Reply]) -> None:
    if act is half_gzip:

        def act(reply: Reply) -> Reply:
            reply.body = reply.body[:-20]
            return reply

    server.fault(act, on="/csv", times=1)
    one = client(server)
    is_right(one.csv_panel(SET, metrics=METRICS, filters={"sex": "Girls"}))
    assert len(one.log) == 1


def test_a_table_as_a_gzip_file(server: EesServer) -> None:
    def file(reply: Reply) -> Reply:
        del reply.headers["Content-Encoding"]
        return reply

    server.fault(file, on="/csv")
    assert client(server).csv(SET).decode() == table_text()


def test_gzip_answers_are_read(server: EesServer) -> None:
    server.fault(zipped)
    is_right(ask(client(server)))


def test_no_answer_in_time(server: EesServer) -> None:
    server.fault(hold)
    clocked = Clocked(timeout=0.1, retries=1)
    error = refused(lambda: ask(client(server, clocked=clocked)))
    server.released.set()
    assert error.found == "no answer within 0.1 s, 2 time(s)"
    assert "Http(timeout=…)" in error.todo


def test_an_answer_that_drips(server: EesServer) -> None:
    ticks = iter(range(0, 10**9, 1000))
    slow = Clocked(patience=500.0, retries=1, clock=lambda: float(next(ticks)))
    error = refused(lambda: client(server, clocked=slow).meta(SET))
    assert "took more than 500 s, 2 time(s)" in error.found


@contextmanager
def dripping(first: bytes, drop: bytes) -> Iterator[str]:
    """Serve the first bytes at once, then one drop after another for four seconds."""
    done = threading.Event()

    def drip(one: socket.socket) -> None:
        with one, suppress(OSError):
            one.recv(65_536)
            one.sendall(first)
            for _ in range(40):
                if done.wait(0.1):
                    return
                one.sendall(drop)

    def serve() -> None:
        with suppress(OSError):
            while True:
                one, _ = host.accept()
                threading.Thread(target=drip, args=(one,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as host:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{host.getsockname()[1]}/"
        finally:
            done.set()
            with suppress(OSError):
                host.shutdown(socket.SHUT_RDWR)
            thread.join(1)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (OK + b"Content-Length: 100000\r\n\r\n", b" "),
        (OK + b"\r\n", b" "),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=", b"x"),
        (OK + b"X-Long: ", b"x"),
        (b"HTTP/1.1 200 ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9\r\n", b"X: x\r\n"),
    ],
    ids=["length", "no length", "chunks", "chunk head", "header", "status", "continue", "redirect"],
)
def test_patience_ends_a_drip_wherever_it_is(first: bytes, drop: bytes) -> None:
    # Each drop is in time; it is the whole that is not.
    with dripping(first, drop) as url:
        one = EES(url, http=Http(timeout=1.0, patience=0.5, retries=0))
        started = time.monotonic()
        error = refused(one.publications)
        assert time.monotonic() - started < 1.5
    assert error.found == "an answer that took more than 0.5 s, 1 time(s)"
    assert "Http(patience=…)" in error.todo


def test_the_time_limit_of_a_part_is_not_the_patience() -> None:
    with dripping(OK + b"Content-Length: 9\r\n\r\n", b"") as url:
        one = EES(url, http=Http(timeout=0.2, patience=60.0, retries=0))
        assert refused(one.publications).found == "no answer within 0.2 s, 1 time(s)"


def test_patience_is_for_each_try(server: EesServer) -> None:
    server.fault(status(503), times=2)
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 90.0

    http = Http(patience=100.0, sleep=sleep, clock=lambda: now[0])
    is_right(ask(EES(server.url, http=http)))
    assert now == [180.0]


@pytest.mark.parametrize("how", ["gzip", "file"])
def test_patience_covers_unpacking(server: EesServer, how: str) -> None:
    # The clock moves by itself: 30 readings are enough for any answer, but not for 5 MB of gzip.
    body = gzip.compress(b"", 0) + gzip.compress(bytes(5_000_000), 0)
    headers = {"Content_Encoding": "gzip"} if how == "gzip" else {}
    server.fault(status(200, body, **headers), on="/csv")
    seconds = iter(range(10**6))
    slow = Clocked(retries=0, patience=1e9, clock=lambda: float(next(seconds)))
    one = client(server, clocked=slow)
    one.meta(SET)
    used = next(seconds)
    assert len(one.csv(SET)) == 5_000_000
    whole = next(seconds) - used
    unpacking = len(body) // 16_384
    assert whole > unpacking
    short = Clocked(retries=0, patience=float(whole - unpacking // 2), clock=slow.http.clock)
    error = refused(lambda: client(server, clocked=short).csv(SET, version="1.0"))
    assert "took more than" in error.found


def test_the_body_of_a_redirect_is_not_read(server: EesServer) -> None:
    path = f"/v1/data-sets/{SET}/meta?dataSetVersion=1.0"
    bomb = gzip.compress(bytes(30_000_000))
    server.fault(status(307, bomb, Location=path, Content_Encoding="gzip"), on="/meta", times=1)
    one = client(server)
    one.data_set(SET)
    tracemalloc.start()
    one.meta(SET)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(server.asked("/meta")) == 2
    assert peak < 5_000_000


def test_gzip_of_many_members(server: EesServer) -> None:
    text = table_text().encode()
    blocks = b"".join(gzip.compress(text[i : i + 50]) for i in range(0, len(text), 50))
    server.fault(status(200, blocks), on="/csv", times=1)
    assert client(server).csv(SET) == text
    server.fault(status(200, gzip.compress(b"") * 80_000), on="/csv", after=1)
    started = time.process_time()
    error = refused(lambda: client(server).csv(SET))
    assert error.needed == "gzip of at most 10,000 members"
    assert time.process_time() - started < 2.0  # 10 s where each member leaves all the rest
    assert len(server.asked("/csv")) == 2


def test_a_limit_holds_over_members_and_steps(server: EesServer) -> None:
    text = bytes(range(256)) * 400
    for parts in (1, 2, 7):
        size = -(-len(text) // parts)
        cuts = [text[i : i + size] for i in range(0, len(text), size)]
        body = b"".join(gzip.compress(one, 0) for one in cuts)
        server.faults.clear()
        server.fault(status(200, body), on="/csv")
        enough = Clocked(unpacked=len(text))
        assert client(server, clocked=enough).csv(SET) == text
        short = Clocked(unpacked=len(text) - 1)
        error = refused(lambda short=short: client(server, clocked=short).csv(SET))
        assert error.needed == f"an answer of at most {len(text) - 1:,} bytes"


def test_the_name_of_a_service_has_no_password() -> None:
    web = Web("https://me:secret@example.org:8443/v1/", Http(), print)
    assert web.service == "example.org:8443/v1"


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = EES(f"http://127.0.0.1:{port}/v1", http=Clocked(retries=2).http)
    error = refused(one.publications)
    assert error.found == "connection refused, 3 time(s)"


def test_no_proof_of_who_it_is(server: EesServer) -> None:
    one = EES(server.url.replace("http:", "https:"), http=Clocked().http)
    error = refused(one.publications)
    assert error.needed == "a host that proves who it is (TLS)"
    assert one.log == ()


@pytest.mark.parametrize("how", ["plain", "gzip", "file"])
def test_too_much_is_refused_at_once(server: EesServer, how: str) -> None:
    big = b" " * 20_000_000
    body = {"plain": big, "gzip": gzip.compress(big), "file": gzip.compress(big)}[how]
    headers = {"Content_Encoding": "gzip"} if how == "gzip" else {}
    server.fault(status(200, body, **headers), on="/csv")
    clocked = Clocked(packed=1_000_000, unpacked=3_000_000)
    one = client(server, clocked=clocked)
    one.meta(SET)
    tracemalloc.start()
    error = refused(lambda: one.csv(SET))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    limit = "1,000,000" if how == "plain" else "3,000,000"
    assert error.needed == f"an answer of at most {limit} bytes"
    assert clocked.slept == []
    assert peak < 12_000_000  # of 20: the rest was never unpacked


def test_an_unknown_coding(server: EesServer) -> None:
    server.fault(status(200, b"x", Content_Encoding="br"))
    assert refused(lambda: ask(client(server))).found == "'br'"


# -- where it leads ------------------------------------------------------------------------------


def test_redirects_stay_on_the_host(server: EesServer) -> None:
    path = f"/v1/data-sets/{SET}/meta?dataSetVersion=1.0"
    server.fault(status(307, Location=path), on="/meta", times=1)
    is_right(ask(client(server)))
    assert len(server.asked("/meta")) == 2


@pytest.mark.parametrize(
    "target",
    [
        "http://elsewhere.example/v1/",
        "http://localhost:1/v1/",
        "//elsewhere.example/",
        "file:///etc/hostname",
        "ftp://127.0.0.1/",
        "http://user@127.0.0.1:1/",
        "http://127.0.0.1:1/v1/",
        "http://127.0.0.1:bad/v1/",
        "http://localhost:{port}/v1/",
        "https://localhost:{port}/v1/",
    ],
)
def test_redirects_to_elsewhere_are_refused(server: EesServer, target: str) -> None:
    target = target.replace("{port}", str(urlsplit(server.url).port))
    server.fault(status(302, Location=target), on="/meta", times=1)
    error = refused(lambda: client(server).meta(SET))
    assert error.needed == "an answer from the same host"
    assert "302" in error.found


def test_a_question_is_not_turned_into_another(server: EesServer) -> None:
    server.fault(status(302, Location=f"/v1/data-sets/{SET}/meta"))
    assert refused(lambda: ask(client(server))).needed == "an answer from the same host"


def test_redirects_without_end(server: EesServer) -> None:
    server.fault(status(307, Location=f"/v1/data-sets/{SET}/meta"), on="/meta")
    error = refused(lambda: client(server).meta(SET))
    assert error.needed == "at most 5 redirects"
    assert len(server.asked("/meta")) == 6


@pytest.mark.parametrize("base", ["ftp://127.0.0.1/", "file:///v1/", "127.0.0.1", "https://", ""])
def test_only_http(base: str) -> None:
    assert refused(lambda: EES(base)).where == "base_url="


def test_ids_are_one_part_of_a_path(server: EesServer) -> None:
    one = client(server)
    for key in ("..", "", "."):
        refused(lambda key=key: one.data_set(key))
    refused(lambda: one.data_set("../publications"))
    assert all(path.startswith("/v1/data-sets/") for _, path, _, _ in server.requests)


def test_without_requests(server: EesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    error = refused(lambda: client(server).publications())
    assert error.needed == "the package requests"
    assert "didkit-evaluation[ees]" in error.todo
