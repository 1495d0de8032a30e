"""Sentences from the docstrings of installed packages, labelled by their package.

The files are read and not imported. All sentences of a module are in one part. No
sentence is in two modules. Names that give the package away are left out.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import pathlib
import re
import zlib
from collections.abc import Iterator

PACKAGES = ("keras", "matplotlib", "numpy", "scipy", "sklearn", "tensorflow")
PARTS = ("train", "validation", "test")

# Tests, generated files, and copies of other packages.
_LEFT_OUT = re.compile(
    r"(^|/)(tests?|testing|externals|_external|vendored?|_vendor|extern|_api"
    r"|_tf_keras|distutils|array_api\w*|python/keras|_lib|conftest\.py|\w+_test\.py)(/|$)"
)
# Code and lists of arguments are left out. Their headings tell a package's style.
_NO_PROSE = re.compile(r">>>|::|```|^\s*[-=]{3,}\s*$|^\s*\w[\w ]*:\s*$", re.MULTILINE)
_GIVEAWAY = re.compile(
    r"\b(np|sp|tf|plt|mpl|\w*(numpy|scipy|sklearn|scikit|tensorflow|keras"
    r"|matplotlib|pyplot|pylab)\w*)\b"
)


@dataclasses.dataclass(frozen=True)
class Texts:
    """The sentences of a part, and their class ids."""

    sentences: list[str]
    labels: list[int]


def load(per_class: dict[str, int]) -> tuple[dict[str, Texts], list[str]]:
    """Reads balanced parts, in an order that only depends on the installed files.

    Args:
      per_class: for each of `PARTS`, how many sentences of a package to take at most.
        All packages give as many sentences as the package that has least.

    Returns:
      The parts, and the names of the packages found. In each part the classes take
      turns.
    """
    found, seen = {}, {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        found[package] = {part: [] for part in PARTS}
        root = pathlib.Path(spec.submodule_search_locations[0])
        # A digest of the path, not of the content, decides which part a module is in.
        names = (path.relative_to(root).as_posix() for path in root.rglob("*.py"))
        modules = [(_digest(f"{package}/{name}"), name) for name in names]
        for digest, name in sorted(modules):
            if _LEFT_OUT.search(name):
                continue
            part = PARTS[max(0, digest % 5 - 2)]
            if len(found[package][part]) >= 2 * per_class[part]:
                continue
            for sentence in dict.fromkeys(_sentences((root / name).read_text("utf-8"))):
                # A sentence that is in two modules is left out of both.
                seen[sentence] = seen.get(sentence, 0) + 1
                found[package][part].append(sentence)
    texts = {}
    for part in PARTS:
        kept = [[s for s in f[part] if seen[s] == 1] for f in found.values()]
        # Sorting by a digest takes neighbours in a docstring apart.
        mixed = (sorted(some, key=lambda s: (_digest(s), s)) for some in kept)
        rows = list(zip(*mixed))[: per_class[part]]
        flat = [sentence for row in rows for sentence in row]
        texts[part] = Texts(flat, list(range(len(found))) * len(rows))
    return texts, list(found)


def _digest(text: str) -> int:
    """A hash that is the same in every process, unlike `hash`."""
    return zlib.crc32(text.encode())


def _sentences(source: str) -> Iterator[str]:
    """The prose of a file's docstrings: lower-case words without punctuation."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        docstring = ast.get_docstring(node) or ""
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
            if _NO_PROSE.search(paragraph):
                continue
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph):
                if re.fullmatch(r"\s*[A-Z].*[a-z]\.\s*", sentence, re.DOTALL):
                    words = re.sub(r"[^a-z]+", " ", sentence.lower())
                    words = _GIVEAWAY.sub(" ", words).split()
                    if 8 <= len(words) <= 40:
                        yield " ".join(words)
