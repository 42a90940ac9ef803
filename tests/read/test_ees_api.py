"""The client against a local server that speaks the protocol, well and badly."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from read.ees_client import (
    COUNT,
    METRICS,
    RATE,
    YEARS,
    ask,
    client,
    is_right,
    known,
    refused,
)
from read.ees_server import (
    KINDS,
    LEVELS,
    PUBLICATION,
    SET,
    EesServer,
    Reply,
    changed,
    meta,
    serving,
    status,
    table_text,
)

from didkit.errors import ReadError
from didkit.panel import Status
from didkit.read import read_ees_csv
from didkit.read.cache import Cache
from didkit.read.ees import EES, Http
from didkit.read.ees_answers import data_set_of, meta_of, page_of, publication_of, row_of
from didkit.read.ees_query import query_columns

pytest.importorskip("requests", reason="the client needs requests (extra ees)")

# -- what it is for ------------------------------------------------------------------------------


def test_lists_are_read_page_by_page(server: EesServer) -> None:
    one = client(server)
    found = one.publications()
    assert len(found) == 45
    assert [query["page"] for _, _, query, _ in server.asked("publications")] == ["1", "2", "3"]
    assert found[0].title == "Children in trees"
    assert one.publications(search="TREES")[0].id == PUBLICATION
    assert one.publications(search="nothing like it") == ()
    (data_set,) = one.data_sets(found[0])
    assert data_set == one.data_set(SET)
    assert (data_set.version, data_set.rows, data_set.first, data_set.last) == (
        "1.0",
        75,
        "2019",
        "2023",
    )
    assert data_set.levels == tuple(LEVELS.values())


def test_metadata_by_label_and_id(server: EesServer) -> None:
    about = client(server).meta(SET)
    assert about.indicator("Share") == about.indicator("child_percent") == about.indicator("ind2")
    assert about.indicator("Share").unit == "%"
    sex = about.filter("Sex of child")
    assert [one.label for one in sex.options] == list(KINDS)
    assert about.option(sex, "Boys").id == "opt2"
    assert about.location("926", "LA").code == about.location("Yew", "LA").code == "E10000020"
    assert about.level("regional") == about.level("REG") == "REG"
    assert about.period(2020).period == about.period("2020|RY").period == "2020"


def test_a_query_is_the_table_s_rows_in_labels(server: EesServer) -> None:
    frame = client(server, page_size=7).query(
        SET,
        indicators=["Children", "child_percent"],
        filters={"Sex of child": ["Girls", "Boys"]},
        levels=["Local authority", "REG"],
        periods=["2020", 2022],
    )
    rows = [
        row
        for row in csv.DictReader(io.StringIO(table_text()))
        if row["sex"] != "Total"
        and row["geographic_level"] != "National"
        and row["time_period"] in ("2020", "2022")
    ]
    assert len(frame) == len(rows) == 16
    for name in frame.columns:
        assert sorted(frame[name]) == sorted(row[name] for row in rows), name
    pairs = zip(frame["la_name"], frame["child_count"], strict=True)
    assert sorted(pairs) == sorted((row["la_name"], row["child_count"]) for row in rows)
    pages = [body["page"] for _, _, _, body in server.asked("/query")]
    assert pages == [1, 2, 3]


def test_places_can_be_named(server: EesServer) -> None:
    one = client(server)
    options: dict[str, Any] = {"indicators": ["child_count"], "levels": ["LA"]}
    frame = one.query(SET, locations=["926", "Alder"], **options)
    assert set(frame["old_la_code"]) == {"926", "301"}
    assert "'Alder'" in refused(lambda: one.query(SET, locations=["Aldur"], **options)).todo
    error = refused(lambda: one.query(SET, indicators=["child_count"], locations=["926"]))
    assert error.needed == "one level of which the locations are"


def test_query_and_table_make_the_same_panel_with_the_known_numbers(
    server: EesServer, tmp_path: Path
) -> None:
    one = client(server, page_size=4)
    asked = ask(one)
    table = one.csv_panel(SET, metrics=METRICS, filters={"sex": "Girls"})
    is_right(asked)
    assert asked.tidy().equals(table.tidy())
    assert asked.metrics == table.metrics
    file = tmp_path / "table.csv"
    file.write_bytes(one.csv(SET))
    read = read_ees_csv(file, metrics=METRICS, filters={"sex": "Girls"})
    for name in read.metrics:
        for what in ("value", "status", "lower", "upper"):
            assert read.wide(name, what=what).equals(asked.wide(name, what=what))
    assert asked.wide("children", what="status").loc["301", "2020"] == Status.SUPPRESSED.label
    assert asked.metrics["share"].kind == "percent"
    service = server.url.removeprefix("http://").rstrip("/")
    assert asked.sources["share"][0].release == f"{SET} version 1.0 from {service}"
    assert asked.sources["share"][0].note.endswith(f"version 1.0 from {service}")
    used = asked.log.loc[asked.log["what"] == "rows used: local authority", "rows"]
    assert used.item() == 15
    assert one.log == ()


def test_a_panel_by_labels(server: EesServer) -> None:
    one = client(server)
    panel = ask(
        one,
        metrics={"Children": COUNT, "Rate": RATE, "Share": "share"},
        filters={"Sex of child": "Boys"},
    )
    is_right(panel, kind=2)


def test_academic_years(server: EesServer) -> None:
    def academic(answer: Any) -> None:
        for row in answer["results"]:
            year = int(row["timePeriod"]["period"])
            row["timePeriod"] = {"period": f"{year}/{year + 1}", "code": "AY"}

    server.fault(changed(academic))
    panel = ask(client(server))
    assert panel.periods == ("2019-20", "2020-21", "2021-22", "2022-23", "2023-24")
    assert panel.wide("children").loc["926", "2019-20"] == known("children", 2019, 2, 1)


def test_periods_of_the_metadata_in_every_spelling(server: EesServer) -> None:
    def academic(answer: Any) -> None:
        answer["timePeriods"] = [
            {"code": "AY", "period": f"{year}/{year + 1}", "label": f"{year}/{(year + 1) % 100}"}
            for year in YEARS
        ]

    server.fault(changed(academic), on="/meta")
    about = client(server).meta(SET)
    for asked in ("2021/22", "2021-22", "202122", 202122, "2021/2022", "2021/2022|AY"):
        assert about.period(asked).period == "2021/2022"
    assert "2021/22" in refused(lambda: about.period("2021/23")).todo


def test_regions(server: EesServer) -> None:
    panel = ask(client(server), metrics={"child_count": COUNT}, level="Regional")
    assert panel.wide("children").loc["E12000007", "2020"] == (30000 + 20 + 1) // 2


def test_filters_must_be_chosen(server: EesServer) -> None:
    error = refused(lambda: ask(client(server), filters=None))
    assert error.found == "sex: 3 ('Total', 'Girls', 'Boys')"
    assert error.todo == "say filters={'sex': 'Total'}"


@pytest.mark.parametrize(
    ("options", "suggested"),
    [
        ({"metrics": ["child_cuont"]}, "'child_count'"),
        ({"filters": {"sexx": "Girls"}}, "'sex'"),
        ({"filters": {"sex": "girl"}}, "'Girls'"),
        ({"level": "Local authorities"}, "'Local authority'"),
        ({"periods": ("2019", "2033")}, "choose two of them"),
        ({"version": "latest"}, "leave it out"),
    ],
)
def test_unknown_labels_are_refused_with_a_suggestion(
    server: EesServer, options: dict[str, Any], suggested: str
) -> None:
    assert suggested in refused(lambda: ask(client(server), **options)).todo


def test_a_query_without_rows(server: EesServer) -> None:
    def none(answer: Any) -> None:
        answer["results"] = []
        answer["paging"] |= {"totalPages": 0, "totalResults": 0}
        answer["warnings"] = [{"message": "No results matched", "code": "QueryNoResults"}]

    server.fault(changed(none))
    error = refused(lambda: ask(client(server)))
    assert error.found == "none (No results matched)"


# -- cache ---------------------------------------------------------------------------------------


def test_a_second_call_makes_no_request(server: EesServer, tmp_path: Path) -> None:
    one = client(server, cache=tmp_path / "kept")
    first = ask(one)
    one.csv_panel(SET, metrics=METRICS, filters={"sex": "Girls"})
    before = len(server.requests)
    assert ask(one).tidy().equals(first.tidy())
    assert one.csv_panel(SET, metrics=METRICS, filters={"sex": "Girls"}).tidy().equals(first.tidy())
    assert len(server.requests) == before
    other = client(server, cache=tmp_path / "kept")
    assert ask(other, version="1.0").tidy().equals(first.tidy())
    assert len(server.requests) == before
    ask(client(server, cache=tmp_path / "kept"))  # which version is the latest has to be asked
    assert [path for _, path, _, _ in server.requests[before:]] == [f"/v1/data-sets/{SET}"]


def test_another_question_or_version_is_another_entry(server: EesServer, tmp_path: Path) -> None:
    ask(client(server, cache=tmp_path))
    is_right(ask(client(server, cache=tmp_path), filters={"sex": "Boys"}), kind=2)
    server.tables["2.0"], server.latest = table_text(add=1), "2.0"
    is_right(ask(client(server, cache=tmp_path)), add=1)
    is_right(ask(client(server, cache=tmp_path), version="1.0"))


def test_what_one_service_said_is_never_read_for_another(server: EesServer, tmp_path: Path) -> None:
    # Host and path are both part of which service it is.
    with serving() as second:
        second.tables["1.0"] = table_text(add=1)
        theirs = client(second, cache=tmp_path)
        is_right(ask(theirs), add=1)
        assert theirs.csv(SET).decode() == table_text(add=1)
        ours = client(server, cache=tmp_path)
        panel = ask(ours)
        is_right(panel)
        assert ours.csv(SET).decode() == table_text()
        assert ours.log == ()
        places = {urlsplit(one.url).netloc for one in (server, second)}
    named = set(panel.provenance()["note"]) | set(ask(theirs).provenance()["note"])
    assert {one.rpartition(" from ")[2] for one in named} == {f"{one}/v1" for one in places}
    one, other = (Cache(tmp_path / "c", f"https://example.org/{path}/") for path in "ab")
    one.write("set", "1.0", "x", b"1")
    assert other.read("set", "1.0", "x").data is None
    assert one.read("set", "1.0", "x").data == b"1"


def test_an_entry_that_was_moved_is_damaged(tmp_path: Path) -> None:
    # Its checksum fits; what it is of is under the checksum too.
    one, other = (Cache(tmp_path / "c", f"https://{host}.example/") for host in "ab")
    for cache in (one, other):
        for data_set, version, name in (("s", "1.0", "x"), ("t", "1.0", "x"), ("s", "2.0", "x")):
            cache.write(data_set, version, name, b"1")
    one.write("s", "1.0", "y", b"1")
    good = {place: place.read_bytes() for place in (tmp_path / "c").rglob("*") if place.is_file()}
    assert len(good) == len(set(good.values())) == 7
    (mine,) = [place for place, data in good.items() if place.name == "y"]
    for place, data in good.items():
        mine.write_bytes(data)
        found = one.read("s", "1.0", "y")
        assert (found.data, found.damaged) == ((b"1", False) if place == mine else (None, True))


def test_nothing_is_written_without_a_cache(
    server: EesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask(client(server))
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "other"])
def test_a_damaged_entry_is_fetched_again_and_said(
    server: EesServer, tmp_path: Path, harm: str
) -> None:
    ask(client(server, cache=tmp_path))
    (entry,) = tmp_path.rglob("query-*.json")
    data = entry.read_bytes()
    at = data.index(b'"111"') + 1 if b'"111"' in data else len(data) // 2
    entry.write_bytes(
        {
            "flip": data[:at] + b"9" + data[at + 1 :],
            "cut": data[:-10],
            "empty": b"",
            "other": b"[]",
        }[harm]
    )
    one = client(server, cache=tmp_path)
    before = len(server.asked("/query"))
    panel = ask(one)
    is_right(panel)
    assert len(server.asked("/query")) == before + 1
    assert any("is damaged; fetched again" in said for said in one.log)
    assert panel.log["what"].str.contains("is damaged; fetched again").any()
    assert entry.read_bytes() == data


def test_half_an_entry_is_never_there(
    server: EesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    error = refused(lambda: ask(client(server, cache=tmp_path)))
    assert error.found == "No space left on device"
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


def test_a_name_never_leads_out_of_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "in", "https://example.org/")
    for key in ("..", "../out", "a/b", "a\\b", "", ".hidden", "a..b"):
        refused(lambda key=key: cache.write(key, "1.0", "x", b""))
        refused(lambda key=key: cache.read("set", key, "x"))
    assert list(tmp_path.rglob("*")) == []


def test_an_interruption_passes_and_leaves_nothing(server: EesServer, tmp_path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    server.fault(status(503))
    with pytest.raises(KeyboardInterrupt):
        ask(EES(server.url, http=Http(sleep=interrupt), cache=tmp_path))
    assert not list(tmp_path.rglob("query*"))


# -- pages that do not add up --------------------------------------------------------------------


def test_a_total_that_changes_once_starts_again(server: EesServer) -> None:
    def more(answer: Any) -> None:
        answer["paging"]["totalResults"] += 1

    server.fault(changed(more), after=1, times=1)
    one = client(server, page_size=4)
    panel = ask(one)
    is_right(panel)
    assert "15 results on 4 pages became 16 on 4 while it was read; started again" in one.log[0]
    assert panel.log["what"].str.contains("started again").any()


def test_a_total_that_goes_on_changing(server: EesServer) -> None:
    totals = iter(range(100, 200))

    def more(answer: Any) -> None:
        answer["paging"]["totalResults"] = next(totals)

    server.fault(changed(more))
    error = refused(lambda: ask(client(server, page_size=4)))
    assert error.needed == "an answer that stays the same while it is read"
    assert "at the second try too" in error.found
    assert len(server.asked("/query")) == 4


def test_a_version_that_changes_once_is_read_from_the_start(server: EesServer) -> None:
    server.tables["2.0"] = table_text(add=1)

    def publish(reply: Reply) -> Reply:
        server.latest = "2.0"
        return reply

    server.fault(publish, after=1, times=1)
    one = client(server, page_size=4)
    is_right(ask(one), add=1)
    assert "the latest version went from 1.0 to 2.0" in one.log[0]
    versions = [query["dataSetVersion"] for _, _, query, _ in server.asked("/query")]
    assert versions == ["1.0"] * 4 + ["2.0"] * 4


def test_a_version_that_is_named_is_kept(server: EesServer) -> None:
    server.tables["2.0"], server.latest = table_text(add=1), "2.0"
    is_right(ask(client(server, page_size=4), version="1.0"))


def test_a_version_that_goes_on_changing(server: EesServer) -> None:
    for n in range(2, 50):
        server.tables[f"{n}.0"] = table_text(add=n)

    def publish(reply: Reply) -> Reply:
        server.latest = f"{int(server.latest[:-2]) + 1}.0"
        return reply

    server.fault(publish)
    error = refused(lambda: ask(client(server, page_size=4)))
    assert "the latest version went from" in error.found
    assert len(server.asked("/query")) == 8


def empty(answer: Any) -> None:
    answer["results"] = []


def other_page(answer: Any) -> None:
    answer["paging"]["page"] += 1


def one_less(answer: Any) -> None:
    del answer["results"][0]


def one_more(answer: Any) -> None:
    answer["results"] *= 9


@pytest.mark.parametrize(
    ("edit", "asked"), [(empty, 2), (other_page, 2), (one_less, 4), (one_more, 2)]
)
def test_pages_that_do_not_add_up(
    server: EesServer, edit: Callable[[Any], None], asked: int
) -> None:
    server.fault(changed(edit), after=1)
    error = refused(lambda: ask(client(server, page_size=4)))
    assert error.needed == "pages that together hold every result once"
    assert len(server.asked("/query")) == asked


@pytest.mark.parametrize("field", ["totalPages", "totalResults"])
def test_pages_without_end(server: EesServer, field: str) -> None:
    def endless(answer: Any) -> None:
        answer["paging"][field] = 10**12

    server.fault(changed(endless))
    error = refused(lambda: ask(client(server)))
    assert "1,000,000,000,000" in error.found
    assert len(server.asked("/query")) == 1


def test_rows_that_stand_twice_over_the_pages(server: EesServer) -> None:
    first: list[Any] = []

    def again(answer: Any) -> None:
        first.extend(answer["results"][:1])
        if answer["paging"]["page"] == 2:
            answer["results"][0] = first[0]

    server.fault(changed(again))
    error = refused(lambda: ask(client(server, page_size=4)))
    assert error.needed == "every result once"
    assert "stand twice over the pages" in error.found


def test_publications_that_stand_twice(server: EesServer) -> None:
    def again(answer: Any) -> None:
        answer["results"][1] = answer["results"][0]

    server.fault(changed(again), on="/publications")
    assert refused(client(server).publications).needed == "every result once"


# -- wrong types ---------------------------------------------------------------------------------

WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    ("/query", lambda a: [], "an object"),
    ("/query", lambda a: a.update(paging=None), "an object"),
    ("/query", lambda a: a["paging"].update(page="1"), "a whole number"),
    ("/query", lambda a: a["paging"].update(totalPages=1.0), "a whole number"),
    ("/query", lambda a: a["paging"].update(totalResults=True), "a whole number"),
    ("/query", lambda a: a["paging"].update(totalResults=-1), "a whole number"),
    ("/query", lambda a: a.update(results={}), "a list as 'results'"),
    ("/query", lambda a: a.update(warnings={"a": 1}), "a list as 'warnings'"),
    ("/query", lambda a: a["results"].__setitem__(0, 5), "an object"),
    ("/query", lambda a: a["results"][0].update(timePeriod="2020"), "an object"),
    ("/query", lambda a: a["results"][0]["timePeriod"].update(period=2020), "text as 'period'"),
    ("/query", lambda a: a["results"][0].update(geographicLevel=None), "text as 'geogr"),
    ("/query", lambda a: a["results"][0].update(geographicLevel="ZZ"), "a geographic level"),
    ("/query", lambda a: a["results"][0].update(locations=[]), "an object"),
    ("/query", lambda a: a["results"][0]["locations"].update(LA="q"), "ids that the metadata"),
    ("/query", lambda a: a["results"][0]["filters"].update(flt1="q"), "ids that the metadata"),
    ("/query", lambda a: a["results"][0]["filters"].update(flt9="opt1"), "ids that the metadata"),
    ("/query", lambda a: a["results"][0]["values"].update(ind0=5), "text as 'values', 'ind0'"),
    ("/query", lambda a: a["results"][0]["values"].pop("ind0"), "a value of 'child_count'"),
    ("/meta", lambda a: a.update(filters=None), "a list as 'filters'"),
    ("/meta", lambda a: a["filters"][0].update(options=5), "a list as 'options'"),
    ("/meta", lambda a: a["filters"][0]["options"][0].update(label=None), "text as 'label'"),
    ("/meta", lambda a: a["filters"][0]["options"][0].update(id="opt1"), "filter options with ids"),
    ("/meta", lambda a: a["indicators"][0].update(decimalPlaces="2"), "a whole number"),
    ("/meta", lambda a: a["indicators"][0].update(unit=5), "text as 'unit'"),
    ("/meta", lambda a: a["indicators"][0].update(id="ind1"), "indicators with ids"),
    ("/meta", lambda a: a["locations"][0].update(level="NAT"), "an object"),
    ("/meta", lambda a: a["locations"][2]["options"][0].update(oldCode=301), "text as 'oldCode'"),
    ("/meta", lambda a: a.update(geographicLevels=["NAT"]), "an object"),
    ("/meta", lambda a: a["timePeriods"][0].update(period=None), "text as 'period'"),
    (SET, lambda a: a.update(latestVersion=None), "an object"),
    (SET, lambda a: a["latestVersion"].update(version=1.0), "text as 'version'"),
    (SET, lambda a: a["latestVersion"].update(geographicLevels=[5]), "texts as 'geogr"),
    (SET, lambda a: a.pop("id"), "text as 'id'"),
]


@pytest.mark.parametrize(("on", "edit", "needed"), WRONG)
def test_wrong_types(
    server: EesServer, on: str, edit: Callable[[Any], Any], needed: str, tmp_path: Path
) -> None:
    def act(answer: Any) -> Any:
        other = edit(answer)
        return other if other == [] else None

    server.fault(changed(act), on=on)
    error = refused(lambda: ask(client(server, cache=tmp_path)))
    assert error.needed.startswith(needed)
    assert len(server.asked(re.escape(on))) == 1
    if on == "/meta":
        assert not list(tmp_path.rglob("*.json"))


def test_any_change_of_an_answer_is_the_same_or_refused(server: EesServer) -> None:
    rows = list(csv.DictReader(io.StringIO(table_text())))
    about = meta(rows)
    good = meta_of(about, SET, "1.0", "meta")
    wanted = (good.indicator("child_count"),)
    page = json.loads(
        server.answer(
            "POST",
            f"/v1/data-sets/{SET}/query",
            {},
            {"indicators": ["ind0"], "page": 1, "pageSize": 5},
        ).body
    )
    chance = random.Random(3)  # noqa: S311
    outcomes = {"read": 0, "refused": 0}
    for _ in range(3000):
        which = chance.choice(["page", "meta", "set", "publication"])
        answer = copy.deepcopy(
            {
                "page": page,
                "meta": about,
                "set": server.summary(),
                "publication": {"id": "a", "title": "b"},
            }[which]
        )
        harm(answer, chance)
        try:
            if which == "page":
                found = [row_of(one, good, wanted, "q") for one in page_of(answer, "q").results]
                columns = query_columns(found, good, wanted, "q")
                assert all(isinstance(one, str) for text in columns.values() for one in text)
            elif which == "meta":
                meta_of(answer, SET, "1.0", "meta")
            elif which == "set":
                data_set_of(answer, "set")
            else:
                publication_of(answer, "publications")
            outcomes["read"] += 1
        except ReadError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 300


def harm(answer: Any, chance: random.Random) -> None:
    """Replace, remove or nest a part somewhere in an answer."""
    here = answer
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(here[key], (dict, list)) and here[key] and chance.random() < 0.85:
            here = here[key]
            continue
        if isinstance(here, dict) and chance.random() < 0.2:
            del here[key]
        else:
            here[key] = chance.choice([None, 5, -1, 1.5, True, "", "\x00", [], {}, [[]], {"a": 1}])
        return
