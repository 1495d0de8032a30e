"""Makes the pictures of the documentation.

    python docs/make_pictures.py                      # those that pages draw
    python docs/make_pictures.py --page sound         # of one page
    python docs/make_pictures.py --out /tmp/pictures  # elsewhere
    python docs/make_pictures.py --examples           # and those that examples save

A page draws a picture in a block of Python, whose last `figure` becomes the image that
the page shows below the block. The blocks of a page run one after the other, as the
tests run them. Training takes minutes to an hour, so that examples are run only with
--examples.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

DOCS = pathlib.Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
# What is saved by a command, and how: {out} is a folder.
PREVIEW = {
    "preview_digits.png": "-m tfmixup preview --alpha 0.4 --seed 5 --out {out}/{name}"
}
TRAINED = {
    "mixed_images.png": "{examples}/train_cnn.py --out {out}",
    "training_curves.png": "{examples}/train_cnn.py --out {out}",
    "label_noise.png": "{examples}/label_noise.py --out {out}",
    "text.png": "{examples}/text.py --out {out}",
}
_PART = re.compile(
    r"^```python\n(?P<code>.*?)^```$|^!\[[^\]]*\]\(images/(?P<image>[\w.-]+\.png)\)",
    re.DOTALL | re.MULTILINE,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Makes them, and says which images no command of this script makes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=DOCS / "images")
    parser.add_argument("--examples", action="store_true", help="train, too")
    parser.add_argument("--page", help="only those of a page, such as sound")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    made = {
        name
        for page in sorted(DOCS.glob(f"{args.page or '*'}.md"))
        for name in pictures_of(page, out)
    }
    if args.page:
        return
    by_command = {**PREVIEW, **(TRAINED if args.examples else {})}
    made |= by_commands(by_command, out)
    shown = {
        part["image"]
        for page in DOCS.glob("*.md")
        for part in _PART.finditer(page.read_text())
        if part["image"]
    }
    left = sorted(shown - made - set(TRAINED))
    if left:
        sys.exit(f"shown by a page, and made by nothing: {', '.join(left)}")


def pictures_of(page: pathlib.Path, out: pathlib.Path) -> list[str]:
    """Runs a page's blocks, if one draws an image; returns the images' names."""
    text = page.read_text()
    parts = list(_PART.finditer(text))
    if not any("figure = " in (part["code"] or "") for part in parts):
        return []
    names, made = {"__name__": page.stem}, []
    # Blocks save files of their own.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for part in parts:
            if part["code"]:
                names.pop("figure", None)
                # AutoGraph reads the functions of a block at its place in the page.
                above = "\n" * text[: part.start("code")].count("\n")
                exec(compile(above + part["code"], str(page), "exec"), names)
            elif "figure" in names:
                save(names.pop("figure"), out / part["image"])
                made.append(part["image"])
        os.chdir(DOCS)
    return made


def save(figure: Any, path: pathlib.Path) -> None:
    """Writes a figure as the pages show it."""
    figure.savefig(path, dpi=100)
    print(f"wrote {path}", flush=True)


def by_commands(commands: dict[str, str], out: pathlib.Path) -> set[str]:
    """Runs each command once, and takes the images that it saves."""
    with tempfile.TemporaryDirectory() as folder:
        for command in dict.fromkeys(
            text.format(out=folder, name=name, examples=EXAMPLES)
            for name, text in commands.items()
        ):
            print(f"python {command}", flush=True)
            subprocess.run([sys.executable, *command.split()], check=True)
        for name in commands:
            shutil.copy(pathlib.Path(folder, name), out / name)
            print(f"wrote {out / name}", flush=True)
    return set(commands)


if __name__ == "__main__":
    main()
