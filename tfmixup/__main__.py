"""Runs the commands of `python -m tfmixup`."""

from tfmixup import preview

if __name__ == "__main__":
    raise SystemExit(preview.main())
