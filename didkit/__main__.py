"""``python -m didkit``: the command line."""

from didkit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
