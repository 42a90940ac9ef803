"""Client of the API of Explore education statistics: publications, data sets, queries, CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from didkit.errors import ReadError, is_whole
from didkit.panel import Panel
from didkit.read.cache import Cache
from didkit.read.ees_answers import (
    DataSet,
    Meta,
    Publication,
    data_set_of,
    meta_of,
    publication_of,
    row_of,
)
from didkit.read.ees_query import (
    Moved,
    about_of,
    each_page,
    packed,
    part_of_path,
    query_body,
    query_columns,
    refuse_twice,
)
from didkit.read.ees_time import Span
from didkit.read.files import digest
from didkit.read.general import Metrics, Symbols, to_panel
from didkit.read.http import Http, Web
from didkit.read.sheet import Sheet, sheet_of

__all__ = ["BASE_URL", "EES", "DataSet", "Http", "Meta", "Publication"]

BASE_URL = "https://statistics.api.education.gov.uk/v1/"
"""The public service."""

_MOST_PAGE_SIZE = 10_000
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){0,2}")
Made = TypeVar("Made")


class EES:
    """The public API of Explore education statistics, asked by labels.

    A client takes the latest version of each data set when it first needs it, and stays with it.
    Nothing is written to disk unless `cache` names a folder.

    Parameters
    ----------
    base_url : str
        Address of the service.
    cache : str or path, optional
        Folder in which metadata, tables and answers are kept, by service, data set and version.
        An entry that is damaged is fetched again, and the log says so.
    page_size : int
        Rows a page of a query, 1 to 10,000.
    http : Http, optional
        Time limits, size limits, retries.

    Examples
    --------
    >>> client = EES()
    >>> client.log
    ()

    With a network::

        for one in client.publications(search="looked after"):
            print(one.id, one.title)
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        cache: str | PathLike[str] | None = None,
        page_size: int = 1000,
        http: Http | None = None,
    ) -> None:
        if not is_whole(page_size) or not 1 <= page_size <= _MOST_PAGE_SIZE:
            raise ReadError(
                needed=f"a page size from 1 to {_MOST_PAGE_SIZE:,}",
                found=repr(page_size),
                where="page_size=",
                todo="leave it out",
            )
        self._log: list[str] = []
        self._web = Web(base_url, http or Http(), self._log.append)
        self._cache = None if cache is None else Cache(Path(cache), self._web.base)
        self._page_size = page_size
        self._latest: dict[str, str] = {}
        self._metas: dict[tuple[str, str], Meta] = {}

    @property
    def log(self) -> tuple[str, ...]:
        """What was out of the ordinary: requests that were repeated, cache entries refused."""
        return tuple(self._log)

    # -- what there is -----------------------------------------------------------------------

    def publications(self, *, search: str | None = None) -> tuple[Publication, ...]:
        """List publications that have data sets.

        Parameters
        ----------
        search : str, optional
            Words in the title or summary.

        Raises
        ------
        ReadError
            If the service does not answer, or not as documented.
        """
        query = {} if search is None else {"search": search}
        return self._listed("publications", query, publication_of)

    def data_sets(self, publication: Publication | str) -> tuple[DataSet, ...]:
        """List the data sets of a publication.

        Parameters
        ----------
        publication : Publication or str
            Or its id.

        Returns
        -------
        tuple of DataSet
            Each with its latest version.

        Raises
        ------
        ReadError
            If there is no such publication, or the service does not answer as documented.
        """
        key = publication.id if isinstance(publication, Publication) else publication
        return self._listed(f"publications/{part_of_path(key)}/data-sets", {}, data_set_of)

    def data_set(self, data_set: str) -> DataSet:
        """Return the summary of a data set with its latest version.

        Parameters
        ----------
        data_set : str
            Its id.

        Raises
        ------
        ReadError
            If there is no such data set, or the service does not answer as documented.
        """
        path = f"data-sets/{part_of_path(data_set)}"
        return data_set_of(self._web.get_json(path, {}), path)

    def meta(self, data_set: DataSet | str, *, version: str | None = None) -> Meta:
        """Return filters, indicators, places and periods of a data set.

        Parameters
        ----------
        data_set : DataSet or str
            Or its id.
        version : str, optional
            By default the latest.

        Returns
        -------
        Meta
            Labels and ids, and methods that find one by the other.

        Raises
        ------
        ReadError
            If there is no such data set or version, or the answer is not as documented.
        """
        key, asked = self._version(data_set, version)
        return self._meta(key, asked)

    # -- data --------------------------------------------------------------------------------

    def query(
        self,
        data_set: DataSet | str,
        *,
        indicators: Sequence[str],
        filters: Mapping[str, str | Sequence[str]] | None = None,
        levels: Sequence[str] | None = None,
        locations: Sequence[str] | None = None,
        periods: Sequence[object] | None = None,
        version: str | None = None,
    ) -> pd.DataFrame:
        """Ask for rows, and return them as the open-data CSV would have them: labels and text.

        Parameters
        ----------
        data_set : DataSet or str
            Or its id.
        indicators : sequence of str
            By column or label.
        filters : mapping, optional
            Filter, by column or label, to the label or labels of its values.
        levels : sequence of str, optional
            Geographic levels, by label or code.
        locations : sequence of str, optional
            Places by code or label; needs one level.
        periods : sequence, optional
            Periods by label: ``"2022"``, ``"2021-22"``.
        version : str, optional
            By default the latest.

        Returns
        -------
        DataFrame
            Text in every column: time, places, filters by label, and an indicator a column, with
            the published symbols.

        Raises
        ------
        ReadError
            For unknown labels; no rows; an answer that is not as documented; rows that stand
            twice; a version that changes while it is read, twice.
        """
        columns = self._query(
            data_set,
            indicators=indicators,
            filters=filters,
            levels=levels,
            locations=locations,
            periods=periods,
            version=version,
        ).columns
        return pd.DataFrame(dict(columns))

    def csv(self, data_set: DataSet | str, *, version: str | None = None) -> bytes:
        """Download the whole table of a data set, unpacked.

        Parameters
        ----------
        data_set : DataSet or str
            Or its id.
        version : str, optional
            By default the latest.

        Returns
        -------
        bytes
            The open-data CSV.

        Raises
        ------
        ReadError
            If there is no such data set or version, or the download is not whole.
        """
        key, asked = self._version(data_set, version)

        def fetch() -> bytes:
            return self._web.get_bytes(
                f"data-sets/{part_of_path(key)}/csv", {"dataSetVersion": asked}
            )

        return self._kept(key, asked, "table.csv", fetch)

    def query_panel(
        self,
        data_set: DataSet | str,
        *,
        metrics: Metrics,
        filters: Mapping[str, str] | None = None,
        level: str = "Local authority",
        periods: Span | None = None,
        without: Sequence[str] = (),
        symbols: Symbols | None = None,
        rounded_to: int | Mapping[str, int] = 1,
        version: str | None = None,
    ) -> Panel:
        """Ask for the rows of a panel; arguments are those of `didkit.read_ees_csv`.

        Parameters
        ----------
        data_set : DataSet or str
            Or its id.
        metrics, filters, level, periods, without, symbols, rounded_to
            As in `didkit.read_ees_csv`; indicators and filters by column or label.
        version : str, optional
            By default the latest.

        Returns
        -------
        Panel
            The same as `EES.csv_panel` gives; its sources name data set, version and service, its
            log what was out of the ordinary.

        Raises
        ------
        ReadError
            As `EES.query` and `didkit.read_ees_csv`.
        """
        asked = [metrics] if isinstance(metrics, str) else list(metrics)
        before = len(self._log)
        sheet = self._query(
            data_set,
            indicators=asked,
            filters=filters,
            levels=[level],
            locations=None,
            periods=None,
            version=version,
        )
        return self._panel(
            sheet, metrics, filters, level, periods, without, symbols, rounded_to, before
        )

    def csv_panel(
        self,
        data_set: DataSet | str,
        *,
        metrics: Metrics,
        filters: Mapping[str, str] | None = None,
        level: str = "Local authority",
        periods: Span | None = None,
        without: Sequence[str] = (),
        symbols: Symbols | None = None,
        rounded_to: int | Mapping[str, int] = 1,
        version: str | None = None,
    ) -> Panel:
        """Download the whole table and read a panel from it, as `didkit.read_ees_csv` does.

        Parameters
        ----------
        data_set : DataSet or str
            Or its id.
        metrics, filters, level, periods, without, symbols, rounded_to
            As in `didkit.read_ees_csv`; indicators and filters by column or label.
        version : str, optional
            By default the latest.

        Returns
        -------
        Panel
            As `EES.query_panel`.

        Raises
        ------
        ReadError
            As `EES.csv` and `didkit.read_ees_csv`.
        """
        before = len(self._log)
        key, asked = self._version(data_set, version)
        meta = self._meta(key, asked)
        data = self.csv(key, version=asked)
        sheet = sheet_of(data, f"{key}.csv", about=about_of(meta), note=self._note(asked))
        return self._panel(
            sheet, metrics, filters, level, periods, without, symbols, rounded_to, before
        )

    # -- how ---------------------------------------------------------------------------------

    def _panel(
        self,
        sheet: Sheet,
        metrics: Metrics,
        filters: Mapping[str, str] | None,
        level: str,
        periods: Span | None,
        without: Sequence[str],
        symbols: Symbols | None,
        rounded_to: int | Mapping[str, int],
        before: int,
    ) -> Panel:
        """Make the panel; what was out of the ordinary since `before` goes into its log."""
        about = {} if sheet.about is None else sheet.about
        named = {one.label: one.name for one in about.values() if one.kind == "filter"}
        by_label = {one.label: one.name for one in about.values() if one.kind == "indicator"}
        if isinstance(metrics, Mapping):
            metrics = {by_label.get(one, one): what for one, what in metrics.items()}
        else:
            asked = [metrics] if isinstance(metrics, str) else metrics
            metrics = [by_label.get(one, one) for one in asked]
        return to_panel(
            sheet,
            metrics=metrics,
            filters={named.get(one, one): value for one, value in (filters or {}).items()},
            level=level,
            periods=periods,
            without=without,
            symbols=symbols,
            rounded_to=rounded_to,
            release=f"{sheet.name.removesuffix('.csv')} {sheet.note}",
            log=[(sheet.name, said, 0) for said in self._log[before:]],
        )

    def _note(self, version: str) -> str:
        """Say of which version and from which service a table is."""
        return f"version {version} from {self._web.service}"

    def _version(self, data_set: DataSet | str, version: str | None) -> tuple[str, str]:
        """Id and version: the one asked for, that of the summary, or the latest."""
        key = data_set.id if isinstance(data_set, DataSet) else data_set
        if version is None and isinstance(data_set, DataSet):
            version = self._latest.setdefault(key, data_set.version)
        if version is None:
            if key not in self._latest:
                self._latest[key] = self.data_set(key).version
            version = self._latest[key]
        if not _VERSION.fullmatch(str(version)):
            raise ReadError(
                needed="a version such as '1.0'",
                found=repr(version),
                where=f"data set {key}",
                todo="leave it out for the latest",
            )
        return key, version

    def _kept(self, key: str, version: str, name: str, fetch: Callable[[], bytes]) -> bytes:
        """Take an entry from the cache, or fetch it and keep it."""
        if self._cache is None:
            return fetch()
        found = self._cache.read(key, version, name)
        if found.data is not None:
            return found.data
        if found.damaged:
            self._log.append(f"cache: {name} of {key} {version} is damaged; fetched again")
        data = fetch()
        self._cache.write(key, version, name, data)
        return data

    def _meta(self, key: str, version: str) -> Meta:
        if (key, version) not in self._metas:
            path = f"data-sets/{part_of_path(key)}/meta"

            def fetch() -> bytes:
                answer = self._web.get_json(path, {"dataSetVersion": version})
                meta_of(answer, key, version, path)  # what is wrong is not kept
                return packed(answer)

            answer = json.loads(self._kept(key, version, "meta.json", fetch))
            self._metas[key, version] = meta_of(answer, key, version, path)
        return self._metas[key, version]

    def _listed(
        self, path: str, query: Mapping[str, str], made: Callable[[Any, str], Made]
    ) -> tuple[Made, ...]:
        """Read all pages of a list; start again once if it changes meanwhile."""

        def fetch(page: int) -> Any:
            return self._web.get_json(path, {**query, "page": str(page), "pageSize": "20"})

        def read() -> tuple[Made, ...]:
            results = [one for page in each_page(fetch, path) for one in page.results]
            found = tuple(made(one, path) for one in results)
            refuse_twice([getattr(one, "id", None) for one in found], path)
            return found

        return self._twice(read, path)

    def _twice(self, read: Callable[[], Made], where: str) -> Made:
        """Read, and once more if what is read changed meanwhile."""
        try:
            return read()
        except Moved as first:
            self._log.append(f"{where}: {first.found} while it was read; started again")
        try:
            return read()
        except Moved as second:
            raise ReadError(
                needed="an answer that stays the same while it is read",
                found=f"{second.found}, at the second try too",
                where=where,
                todo="try later: it may be published just now; or name a version=",
            ) from second

    def _query(
        self,
        data_set: DataSet | str,
        *,
        indicators: Sequence[str],
        filters: Mapping[str, str | Sequence[str]] | None,
        levels: Sequence[str] | None,
        locations: Sequence[str] | None,
        periods: Sequence[object] | None,
        version: str | None,
    ) -> Sheet:
        """Ask by labels, and lay the answer out as the open-data CSV would."""
        if isinstance(indicators, str):
            indicators = [indicators]

        def read() -> Sheet:
            key, asked = self._version(data_set, version)
            meta = self._meta(key, asked)
            wanted = tuple(meta.indicator(one) for one in indicators)
            body = query_body(meta, wanted, filters or {}, levels, locations, periods)

            def fetch() -> bytes:
                return packed(self._rows(key, asked, body, pinned=version is not None))

            name = f"query-{digest(packed(body))[:32]}.json"
            path = f"data-sets/{key}/query"
            data = self._kept(key, asked, name, fetch)
            rows = [row_of(one, meta, wanted, path) for one in json.loads(data)]
            refuse_twice([row.key for row in rows], path)
            columns = query_columns(rows, meta, wanted, path)
            return Sheet(
                name=key,
                columns=columns,
                about={k: v for k, v in about_of(meta).items() if k in columns},
                sha256=digest(data),
                note=self._note(asked),
            )

        return self._twice(read, "query")

    def _rows(self, key: str, version: str, body: Mapping[str, Any], *, pinned: bool) -> list[Any]:
        """Read all pages of a query, and see at the end that the version is still the latest."""
        path = f"data-sets/{part_of_path(key)}/query"

        def fetch(page: int) -> Any:
            sent = {**body, "page": page, "pageSize": self._page_size}
            return self._web.post_json(path, {"dataSetVersion": version}, sent)

        pages = list(each_page(fetch, path))
        rows = [one for page in pages for one in page.results]
        if not rows:
            raise ReadError(
                needed="rows that fit the query",
                found="none" + (f" ({pages[0].warnings})" if pages and pages[0].warnings else ""),
                where=path,
                todo="choose values that stand together in the data set; see EES.meta()",
            )
        if not pinned and len(pages) > 1:
            latest = self.data_set(key).version
            if latest != version:
                self._latest[key] = latest
                raise Moved(f"the latest version went from {version} to {latest}")
        return rows
