"""A headless Chromium for the tests: the DOM after scripts have run, or the pages in print."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def browser() -> str | None:
    """Where the browser is: named by DIDKIT_BROWSER, or on the path."""
    named = os.environ.get("DIDKIT_BROWSER")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def axe() -> str | None:
    """The text of axe-core, from the package axe-core-python."""
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "axe.min.js"
    return file.read_text(encoding="utf-8") if file.is_file() else None


def run(page: Path, *options: str, home: Path) -> str:
    """Open a page without any network and return what the browser prints."""
    found = browser()
    assert found is not None
    ran = subprocess.run(
        [
            found,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={home}",
            *options,
            page.resolve().as_uri(),
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=180,
        check=True,
    )
    return ran.stdout
