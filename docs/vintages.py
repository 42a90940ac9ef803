"""Write docs/vintages.md: every published file that didkit reads, and its cells by status.

    python docs/vintages.py FOLDER

FOLDER holds the published files, one folder a release. Nothing is written if a file does not load
or a row or cell is lost.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

from didkit import DidkitError, DidkitWarning, Status, read_dfe
from didkit.panel import Panel

HEAD = """\
# Published files that didkit reads

Written by `python docs/vintages.py FOLDER` from the files themselves; `tests/read/test_vintages.py`
holds every cell against an independent reading. A release is recognised by its columns and periods.
Every row is used or named in `panel.log`; cells are authorities × reporting years × metrics.
"rates agree" counts the published rates and percentages that could be computed again from the
file's release: the published number is the rounded quotient (an interval where the population is
rounded to 100). A hidden rate is bounded above where the population is read with it.

Other vintages of the same series (children in need 2021, 2023 and later; first releases of 2013 and
2016; looked-after releases of 2014, 2022 and later) are read by the same rules, and the log says
that didkit had not seen them.

## The longest series

Counts of children in need are not revised between the releases of 2020, 2022 and 2025, but the first releases
were; counts of children looked after are revised in every release (`panel.compare` lists the cells). So each
year below comes from the newest file that has it, and the mixture is asked for by name:

```python
import didkit as dk

first = ["osr28-2010ud.csv", "osr26-2011ud.csv", "SFR27-2012ud.csv"]
keep = ["cin_count", "cpp_count", "referrals_count"]
need = dk.read_dfe(f"{dfe}/cin_2025").select(metrics=keep)  # 2013 to 2025
for file in reversed(first):
    need = dk.read_dfe(f"{dfe}/sfr_cin/{file}").select(metrics=keep).join(need, releases="mixed")

looked_after = dk.read_dfe(f"{dfe}/cla_2025").select(metrics=["cla_count"])  # 2021 to 2025
for file, years in [
    ("cla_2021", range(2018, 2021)),
    ("sfr_cla/CLA2019.csv", range(2015, 2018)),
    ("sfr_cla/CLA2018.csv", [2014]),
    ("sfr_cla/SFR36_CLA2013.csv", [2013]),
    ("sfr_cla/SFR20_CLA2012.csv", [2012]),
    ("sfr_cla/SFR21_CLA.csv", [2011]),
]:
    part = dk.read_dfe(f"{dfe}/{file}").select(metrics=["cla_count"], periods=years)
    looked_after = part.join(looked_after, releases="mixed")

panel = need.join(looked_after).harmonise()  # 150 authorities, 2010 to 2025
```

Rates need one vintage of the population: `need.join(population).compute_rate("cin")`, with the population of
the release of 2025 for 2013 to 2025. It has none for the authorities that ended before 2023, so that the merged
Dorset has no rate before 2020; the population of the release of 2020 has them, up to 2020.

## What each file holds

| release | table | rows | metrics | cells | observed | rounded | suppressed | of these bounded above | not available | not applicable | rates agree |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""  # noqa: E501


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/vintages.md"))
    asked = parser.parse_args()
    lines, notes = [], []
    for folder in sorted(one for one in asked.folder.iterdir() if one.is_dir()):
        files = sorted(
            one for one in folder.rglob("*") if one.suffix.casefold() in (".csv", ".parquet")
        )
        for file in files:
            try:
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always", DidkitWarning)
                    panel = read_dfe(file)
            except DidkitError as error:
                notes.append(
                    f"* `{folder.name}/{file.name}`: not read by `read_dfe`: {error.found}"
                )
                continue
            whole = _of_release(folder, panel)
            lines.append(_line(panel, whole))
            notes += [f"* `{file.name}`: {one.message}" for one in said]
    text = HEAD + "\n".join(sorted(lines)) + "\n"
    if notes:
        text += "\nSaid while reading:\n\n" + "\n".join(notes) + "\n"
    asked.out.write_text(text, encoding="utf-8")
    print(f"{len(lines)} files: {asked.out}")
    return 0


def _of_release(folder: Path, panel: Panel) -> Panel:
    """The whole release of a file, for the population that its rates are over."""
    release = next(iter(panel.sources.values()))[0].release
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DidkitWarning)
        return read_dfe(folder, release=release)


def _line(panel: Panel, whole: Panel) -> str:
    source = next(iter(panel.sources.values()))[0]
    log = panel.log.groupby("what")["rows"].sum()
    rows = log[log.index.str.startswith("rows ") & (log.index != "rows read")]
    if log["rows read"] != rows.sum():
        raise SystemExit(f"{source.file}: {log['rows read']} rows read, {rows.sum()} accounted for")
    status = np.concatenate([panel.cells(one).status.ravel() for one in panel.metrics])
    upper = np.concatenate([panel.cells(one).upper.ravel() for one in panel.metrics])
    held = status != Status.ABSENT
    if log[log.index.str.startswith("cells ")].sum() != held.sum():
        raise SystemExit(f"{source.file}: cells were lost")
    hidden = status == Status.SUPPRESSED
    cells = [
        source.release,
        source.table,
        f"{log['rows read']:,}",
        f"{len(panel.metrics)}",
        f"{held.sum():,}",
        f"{(status == Status.OBSERVED).sum():,}",
        f"{(status == Status.ROUNDED).sum():,}",
        f"{hidden.sum():,}",
        f"{(hidden & np.isfinite(upper)).sum():,}",
        f"{(status == Status.NOT_AVAILABLE).sum():,}",
        f"{(status == Status.NOT_APPLICABLE).sum():,}",
        _rates(panel, whole),
    ]
    return "| " + " | ".join(cells) + " |"


def _rates(panel: Panel, whole: Panel) -> str:
    """How many published rates equal the quotient of their parts, of how many compared."""
    agree = compared = 0
    for name, metric in panel.metrics.items():
        top, bottom = metric.numerator, metric.denominator
        if metric.decimals is None or top not in whole.metrics or bottom not in whole.metrics:
            continue
        rate, part, over = whole.cells(name), whole.cells(top), whole.cells(bottom)
        half = 0.5 * 10.0**-metric.decimals + 1e-9
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = part.value / over.upper * metric.per, part.value / over.lower * metric.per
            seen = np.isfinite(rate.value) & np.isfinite(low) & np.isfinite(high)
            fits = (rate.value >= low - half) & (rate.value <= high + half)
        agree, compared = agree + int((seen & fits).sum()), compared + int(seen.sum())
    return f"{agree:,} of {compared:,}" if compared else "–"


if __name__ == "__main__":
    sys.exit(main())
