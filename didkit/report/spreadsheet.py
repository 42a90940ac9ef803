"""Tables for spreadsheets: text that a spreadsheet would run is made text again."""

from __future__ import annotations

from didkit.panel.safe import safe_csv, safe_text

__all__ = ["safe_csv", "safe_text"]
