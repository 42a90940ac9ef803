"""The page in a real browser: accessible, inert, without network, and as wide as the screen.

Skipped, with the reason, where there is no Chromium or no axe-core.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from browser import chromium
from report.places import EVIL, make_design

import didkit as dk
from didkit.report import Evaluation, evaluate

NO_BROWSER = "no Chromium or Chrome on the path; DIDKIT_BROWSER may name one"
NO_AXE = "no axe-core; it comes with the extra 'browser'"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.browser() is None, reason=NO_BROWSER),
]
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
DARK = "@media (prefers-color-scheme: dark)"
ANSWER = re.compile(r'<pre id="test-answer">(.*?)</pre>', re.DOTALL)
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true; });"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Hostile names, a hole among the cells, and every picture that the page may have."""
    return evaluate(
        make_design(evil=f'{EVIL}<img src=x onerror="window.hit=1"> '),
        ["cla"],
        inference=dk.Permutation(draws=199),
        description=f"{EVIL}<script>window.hit = 2; document.title = 'hit'</script>",
    )


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return evaluation.to_html()


def ask(page: str, script: str, folder: Path, *options: str) -> object:
    """Run a script that sets `answer` in a copy of the page, and return the answer."""
    assert POLICY.search(page)
    code = (
        "<script>window.addEventListener('load', async () => {"
        "const out = document.createElement('pre'); out.id = 'test-answer'; let answer;"
        f"try {{ {script} }} catch (error) {{ answer = {{error: String(error)}}; }}"
        "out.textContent = JSON.stringify(answer); document.body.append(out); });</script>"
    )
    file = folder / "asked.html"
    file.write_text(POLICY.sub("", page).replace("</body>", f"{code}</body>"), encoding="utf-8")
    dom = chromium.run(
        file, *options, "--virtual-time-budget=60000", "--dump-dom", home=folder / "home"
    )
    found = ANSWER.search(dom)
    assert found, dom[-500:]
    return json.loads(html.unescape(found.group(1)))


def in_dark(page: str) -> str:
    """The same page as somebody sees it whose system is dark."""
    assert page.count(DARK) == 1
    return page.replace(DARK, "@media all")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", ["1200,900", "390,844"])
def test_axe_finds_nothing_serious(page: str, tmp_path: Path, dark: bool, size: str) -> None:
    rules = chromium.axe()
    if rules is None:
        pytest.skip(NO_AXE)
    shown = in_dark(page) if dark else page
    shown = shown.replace("</head>", f"<script>{rules}</script></head>")
    found = ask(
        shown,
        f"{OPEN} const made = await axe.run(document); answer = {{passes: made.passes.length, "
        "violations: made.violations.map(one => [one.id, one.impact, "
        "one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]), "
        "unsure: made.incomplete.map(one => [one.id, one.impact])};",
        tmp_path,
        f"--window-size={size}",
    )
    assert isinstance(found, dict)
    assert "error" not in found, found
    assert found["passes"] > 20
    assert [one for one in found["violations"] if one[1] in ("serious", "critical")] == []


def test_axe_would_find_what_is_wrong(page: str, tmp_path: Path) -> None:
    """The check is alive: a picture without words is found."""
    rules = chromium.axe()
    if rules is None:
        pytest.skip(NO_AXE)
    worse = re.sub(r'<img alt="[^"]*"', "<img", page, count=1)
    worse = worse.replace("</head>", f"<script>{rules}</script></head>")
    found = ask(
        worse,
        "const made = await axe.run(document); answer = made.violations.map(one => one.id);",
        tmp_path,
    )
    assert isinstance(found, list)
    assert "image-alt" in found


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_is_wider_than_the_screen(page: str, tmp_path: Path, width: int) -> None:
    """Inside a frame of that width, since a window has a least width."""
    inner = tmp_path / "inner.html"
    script = (
        f"<script>addEventListener('load', () => {{ {OPEN} parent.postMessage("
        "[document.documentElement.scrollWidth, innerWidth], '*'); });</script>"
    )
    text = POLICY.sub("", page).replace("</body>", f"{script}</body>")
    inner.write_text(text, encoding="utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<!DOCTYPE html><html><body><script>addEventListener('message', event => {"
        "const out = document.createElement('pre'); out.id = 'test-answer';"
        "out.textContent = JSON.stringify(event.data); document.body.append(out); });</script>"
        f'<iframe src="inner.html" width="{width}" height="800" style="border:0"></iframe>'
        "</body></html>",
        encoding="utf-8",
    )
    dom = chromium.run(
        outer,
        "--virtual-time-budget=20000",
        "--dump-dom",
        "--window-size=1400,900",
        home=tmp_path / "home",
    )
    found = ANSWER.search(dom)
    assert found, dom[-500:]
    scroll, inner_width = json.loads(html.unescape(found.group(1)))
    assert inner_width == width
    assert scroll <= width


def test_names_that_try_to_run_do_nothing(
    page: str, evaluation: Evaluation, tmp_path: Path
) -> None:
    """Even without the page's policy."""
    found = ask(
        page,
        "answer = [document.title, String(window.hit), document.querySelectorAll('script').length, "
        "[...document.images].every(one => one.src.startsWith('data:image/png')), "
        "[...document.images].every(one => one.naturalWidth > 100)];",
        tmp_path,
    )
    assert isinstance(found, list)
    title, hit, scripts, own, drawn = found
    assert title.startswith("How much of the difference was there before?")
    assert (hit, scripts) == ("undefined", 1)  # the one script is this test's own
    assert own
    assert drawn


def test_nothing_is_asked_of_the_network(page: str, tmp_path: Path) -> None:
    assert not re.search(r"""(?:src|href|action|data|srcset)=["']?\s*(?:https?:)?//""", page)
    found = ask(
        page,
        "answer = performance.getEntriesByType('resource').map(one => one.name);",
        tmp_path,
    )
    assert [name for name in found if not str(name).startswith("data:")] == []  # type: ignore[attr-defined]


def test_the_page_as_it_is_runs_no_script(page: str, tmp_path: Path) -> None:
    """With its policy in place not even a script that got in would run."""
    file = tmp_path / "page.html"
    script = "<script>document.body.append('it ran'.toUpperCase())</script>"
    file.write_text(page.replace("</body>", f"{script}</body>"), encoding="utf-8")
    dom = chromium.run(file, "--dump-dom", home=tmp_path / "home")
    assert "IT RAN" not in dom


def test_in_print_the_details_are_open(evaluation: Evaluation, page: str, tmp_path: Path) -> None:
    """Pages that fold their tables away are fewer."""
    counts = {}
    page = re.sub(r"<main>.*</main>", lambda found: 4 * found[0], page, flags=re.DOTALL)  # less
    folded = re.sub(r"details::details-content \{[^}]*\}", "", page)  # hangs on one page's end
    assert folded != page
    for name, text in (("open", page), ("folded", folded)):
        file, pdf = tmp_path / f"{name}.html", tmp_path / f"{name}.pdf"
        file.write_text(text, encoding="utf-8")
        chromium.run(
            file, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", home=tmp_path / "home"
        )
        counts[name] = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert counts["open"] > counts["folded"] > 2


def test_the_page_keeps_every_rule_of_wcag_a_and_aa(page: str, tmp_path: Path) -> None:
    rules = chromium.axe()
    if rules is None:
        pytest.skip(NO_AXE)
    shown = page.replace("</head>", f"<script>{rules}</script></head>")
    found = ask(
        shown,
        "const made = await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']});"
        "answer = made.violations.map(one => one.id);",
        tmp_path,
    )
    assert found == []
