"""`python -m tfmixup`: what there is to do from a shell."""

from tfmixup import preview

if __name__ == "__main__":
    raise SystemExit(preview.main())
