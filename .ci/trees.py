"""Copies the working tree, for scripts that break it or write beside it."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

__all__ = ["ROOT", "copy_tree"]

ROOT = pathlib.Path(__file__).resolve().parent.parent


def copy_tree(to: pathlib.Path, *, untracked: bool = False) -> None:
    """Copies the files that git tracks.

    Args:
      to: the folder of the copy, made if it is not there.
      untracked: copy new files too, unless git ignores them.
    """
    new = ["--others", "--exclude-standard"] if untracked else []
    command = ["git", "ls-files", "-z", "--cached", *new]
    listed = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
