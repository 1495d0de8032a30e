"""Pages of the documentation that errors lead to."""

from __future__ import annotations

__all__ = ["see"]


def see(page: str) -> str:
    """The end of a message: where the thing is explained, a page in `docs/`."""
    return f" See docs/{page}.md."
