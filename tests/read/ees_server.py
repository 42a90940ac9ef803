"""A local server that speaks the protocol of the EES API, with faults to order."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SET = "7588c2d6-9e8a-4d84-8f19-6b8d52a01fbd"
PUBLICATION = "cbbd299f-8297-44bc-92ac-558bcf51f8ad"
KINDS = ("Total", "Girls", "Boys")
PLACES = (("301", "E09000002", "Alder"), ("302", "E09000003", "Birch"), ("926", "E10000020", "Yew"))
HEADER = (
    "time_period,time_identifier,geographic_level,country_code,country_name,region_code,"
    "region_name,old_la_code,new_la_code,la_name,sex,child_count,child_rate,child_percent"
)
LEVELS = {"NAT": "National", "REG": "Regional", "LA": "Local authority"}


def table_text(*, add: int = 0, years: range = range(2019, 2024)) -> str:
    """The table of a version: numbers follow from year, place and sex, so tests can say them."""
    lines = [HEADER]
    for year in years:
        for k, sex in enumerate(KINDS):
            when = f"{year},Reporting year"
            england = "E92000001,England"
            total = 30000 + add + year - 2000 + k
            lines.append(f"{when},National,{england},,,,,,{sex},{total},50.5,20.1")
            region = "E12000007,London"
            lines.append(f"{when},Regional,{england},{region},,,,{sex},{total // 2},51.5,21.1")
            for i, (old, new, name) in enumerate(PLACES):
                count, rate, percent = figures(year, i, k, add)
                lines.append(
                    f"{when},Local authority,{england},{region},{old},{new},{name},{sex},"
                    f"{count},{rate},{percent}"
                )
    return "\n".join(lines) + "\n"


def figures(year: int, place: int, kind: int, add: int = 0) -> tuple[str, str, str]:
    """Count, rate and percentage of a cell, as published."""
    if place == 0 and year == 2020 and kind == 1:
        return "c", "c", "z"
    if place == 1 and year == 2021:
        return "x", "u", "low"
    count = 100 * (place + 1) + 10 * (year - 2019) + kind + add
    return str(count), f"{count / 7:.1f}", f"{count / 11:.1f}"


@dataclass
class Reply:
    """What is sent; `cut` leaves the body short of its length, `hold` sends nothing."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    hold: bool = False


Act = Callable[[Reply], Reply]


@dataclass
class Fault:
    """What goes wrong, for which path, from which of its requests on, how often."""

    act: Act
    on: str
    after: int
    times: int


def changed(edit: Callable[[Any], Any]) -> Act:
    """A fault in the JSON of an answer: `edit` changes it in place, or returns another."""

    def act(reply: Reply) -> Reply:
        answer = json.loads(reply.body)
        other = edit(answer)
        reply.body = json.dumps(answer if other is None else other).encode()
        return reply

    return act


def status(code: int, body: bytes = b"", **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(code, named, body)


class EesServer:
    """State of the server: versions and their tables, requests so far, faults to come."""

    def __init__(self) -> None:
        self.tables = {"1.0": table_text()}
        self.latest = "1.0"
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.faults: list[Fault] = []
        self.url = ""
        self.released = threading.Event()

    def fault(self, act: Act, *, on: str = "/query", after: int = 0, times: int = 10**6) -> None:
        self.faults.append(Fault(act, on, after, times))

    def asked(self, on: str) -> list[tuple[str, str, dict[str, str], Any]]:
        return [one for one in self.requests if re.search(on + "$", one[1])]

    # -- what the service does ---------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if path == "/v1/publications":
            known = [
                {"id": PUBLICATION, "title": "Children in trees", "slug": "trees", "summary": "A"}
            ] + [
                {"id": f"p{i}", "title": f"Other series {i}", "slug": f"s{i}", "summary": ""}
                for i in range(44)
            ]
            words = query.get("search", "").casefold()
            return self.paged([one for one in known if words in one["title"].casefold()], query)
        if path == f"/v1/publications/{PUBLICATION}/data-sets":
            return self.paged([self.summary()], query)
        if path == f"/v1/data-sets/{SET}":
            return self.json(self.summary())
        version = query.get("dataSetVersion", self.latest)
        if not path.startswith(f"/v1/data-sets/{SET}/") or version not in self.tables:
            return self.json({"title": "Not Found", "type": "x", "status": 404}, 404)
        rows = list(csv.DictReader(io.StringIO(self.tables[version])))
        if path.endswith("/meta"):
            return self.json(meta(rows))
        if path.endswith("/csv"):
            packed = gzip.compress(self.tables[version].encode())
            return Reply(200, {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, packed)
        assert path.endswith("/query")
        assert method == "POST"
        ids = Ids(rows)
        fits = [one for one in rows if ids.fits(one, body.get("criteria"))]
        found = [ids.result(one, body["indicators"]) for one in fits]
        return self.paged(found, {name: str(body[name]) for name in ("page", "pageSize")})

    def summary(self) -> dict[str, Any]:
        rows = list(csv.DictReader(io.StringIO(self.tables[self.latest])))
        return {
            "id": SET,
            "title": "Children by sex",
            "summary": "Numbers of children.",
            "status": "Published",
            "latestVersion": {
                "version": self.latest,
                "published": "2024-11-01T09:30:00+00:00",
                "totalResults": len(rows),
                "timePeriods": {"start": "2019", "end": "2023"},
                "geographicLevels": list(LEVELS.values()),
                "filters": ["Sex"],
                "indicators": ["Children"],
            },
        }

    @staticmethod
    def json(answer: Any, code: int = 200) -> Reply:
        return Reply(code, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def paged(self, results: list[Any], query: dict[str, str]) -> Reply:
        page, size = int(query.get("page", "1")), int(query.get("pageSize", "20"))
        paging = {
            "page": page,
            "pageSize": size,
            "totalPages": -(-len(results) // size),
            "totalResults": len(results),
        }
        part = results[(page - 1) * size : page * size]
        return self.json({"paging": paging, "warnings": [], "results": part})


class Ids:
    """Ids of a table: short and without meaning, as the service's."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self.options = {
            sex: f"opt{i}" for i, sex in enumerate(dict.fromkeys(r["sex"] for r in rows))
        }
        self.indicators = {f"ind{i}": name for i, name in enumerate(HEADER.split(",")[11:])}

    @staticmethod
    def places(row: dict[str, str]) -> dict[str, str]:
        made = {"NAT": "loc-en"}
        if row["region_code"]:
            made["REG"] = "loc-ld"
        if row["old_la_code"]:
            made["LA"] = f"loc-{row['old_la_code']}"
        return made

    def result(self, row: dict[str, str], indicators: list[str]) -> dict[str, Any]:
        code = {name: code for code, name in LEVELS.items()}[row["geographic_level"]]
        return {
            "timePeriod": {"period": row["time_period"], "code": "RY"},
            "geographicLevel": code,
            "locations": self.places(row),
            "filters": {"flt1": self.options[row["sex"]]},
            "values": {one: row[self.indicators[one]] for one in indicators},
        }

    def fits(self, row: dict[str, str], criteria: Any) -> bool:
        """Whether a row fits: conditions, and the comparators that the tests use."""
        if not criteria:
            return True
        if "and" in criteria:
            return all(self.fits(row, one) for one in criteria["and"])
        if "or" in criteria:
            return any(self.fits(row, one) for one in criteria["or"])
        if "not" in criteria:
            return not self.fits(row, criteria["not"])
        mine = self.result(row, [])
        for facet, compared in criteria.items():
            (wanted,) = [compared["in"]]
            if facet == "geographicLevels":
                ok = mine["geographicLevel"] in wanted
            elif facet == "filters":
                ok = any(one in wanted for one in mine["filters"].values())
            elif facet == "timePeriods":
                ok = mine["timePeriod"] in wanted
            else:
                ok = any(mine["locations"].get(one["level"]) == one["id"] for one in wanted)
            if not ok:
                return False
        return True


def meta(rows: list[dict[str, str]]) -> dict[str, Any]:
    """The metadata of a table."""
    ids = Ids(rows)
    units = {"child_count": "", "child_rate": "", "child_percent": "%"}
    labels = {"child_count": "Children", "child_rate": "Rate", "child_percent": "Share"}
    return {
        "filters": [
            {
                "id": "flt1",
                "column": "sex",
                "label": "Sex of child",
                "hint": "",
                "options": [{"id": key, "label": sex} for sex, key in ids.options.items()],
            }
        ],
        "indicators": [
            {
                "id": key,
                "column": name,
                "label": labels[name],
                "unit": units[name],
                "decimalPlaces": 0 if name == "child_count" else 1,
            }
            for key, name in ids.indicators.items()
        ],
        "geographicLevels": [{"code": code, "label": name} for code, name in LEVELS.items()],
        "locations": [
            {
                "level": {"code": "NAT", "label": "National"},
                "options": [{"id": "loc-en", "code": "E92000001", "label": "England"}],
            },
            {
                "level": {"code": "REG", "label": "Regional"},
                "options": [{"id": "loc-ld", "code": "E12000007", "label": "London"}],
            },
            {
                "level": {"code": "LA", "label": "Local authority"},
                "options": [
                    {"id": f"loc-{old}", "code": new, "oldCode": old, "label": name}
                    for old, new, name in PLACES
                ],
            },
        ],
        "timePeriods": [
            {"code": "RY", "period": year, "label": year}
            for year in dict.fromkeys(row["time_period"] for row in rows)
        ],
    }


@contextmanager
def serving() -> Iterator[EesServer]:
    """Serve on a free port of this machine until the block ends."""
    state = EesServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.reply("GET", None)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply("POST", json.loads(sent))

        def reply(self, method: str, body: Any) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with lock:
                before = len(state.asked(re.escape(parts.path)))
                state.requests.append((method, parts.path, query, body))
                made = state.answer(method, parts.path, query, body)
                for fault in state.faults:
                    due = fault.after <= before < fault.after + fault.times
                    if re.search(fault.on + "$", parts.path) and due:
                        made = fault.act(made)
            self.close_connection = True
            if made.hold:
                state.released.wait(10)
                return
            self.send_response(made.status)
            headers = {"Content-Length": str(len(made.body)), **made.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has seen enough
                self.wfile.write(made.body if made.cut is None else made.body[: made.cut])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
