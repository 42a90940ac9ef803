"""Draws the README's picture from the packaged evaluation: python docs/picture.py."""

from pathlib import Path

import didkit as dk

_, design = dk.datasets.load_evaluation()
axes = dk.Gap().fit(design, "cpp").plot()
out = Path(__file__).with_name("gap.png")
axes.figure.savefig(out, dpi=110, bbox_inches="tight", metadata={"Software": None})
print(out.name)
