"""What `import didkit` costs beside `import pandas`: fresh processes in turn, medians.

With compiled modules, as an installed package has them: PYTHONDONTWRITEBYTECODE is taken out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def once(module: str) -> float:
    """Return the seconds that one import takes in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module)],
        capture_output=True,
        text=True,
        check=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )
    return float(done.stdout)


def main() -> None:
    """Time both imports in turn."""
    for module in ("pandas", "didkit"):
        once(module)  # fill the disk cache
    pairs = [(once("pandas"), once("didkit")) for _ in range(15)]
    pandas, didkit = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"import pandas {pandas:.3f} s, import didkit {didkit:.3f} s: {ratio:.2f} times")


if __name__ == "__main__":
    main()
