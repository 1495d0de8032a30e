"""Reports how simple the package is as a house; enforces nothing.

    .venv/bin/python .ci/house.py [--static]

Counts files, lines, functions that are handed the caller's name, and import circles
by reading the sources; then builds one pipeline of `two_streams` for `MixUp` and for
`CutMix`, and counts the package's files that were entered and how often control went
from one file to another. `--static` leaves the second half, and TensorFlow, out.
"""

from __future__ import annotations

import ast
import itertools
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tfmixup"


def main() -> None:
    """Prints the report."""
    files = sorted(PACKAGE.rglob("*.py"))
    trees = {path: ast.parse(path.read_text()) for path in files}
    functions = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    named = [f for f in functions if {"owner", "caller"} & set(_arguments(f))]
    circles = _circles({_module(path): _imports(trees[path]) for path in files})
    longest = max(files, key=_lines)
    print(f"Python files in the package: {len(files)}")
    print(f"lines in the package: {sum(map(_lines, files)):,}")
    print(f"lines in tests/: {sum(map(_lines, (ROOT / 'tests').rglob('*.py'))):,}")
    print(f"longest file: {longest.relative_to(ROOT)}, {_lines(longest)} lines")
    print(
        f"functions handed the caller's name: {len(named)} of {len(functions)} "
        f"({', '.join(sorted({f.name for f in named}))})"
    )
    print(f"import circles: {len(circles)} {circles or ''}".rstrip())
    for mixer in ("mixup", "cutmix"):
        path = PACKAGE / "mixers" / f"{mixer}.py"
        if path.exists():
            own = sorted(_imports(trees[path]) & {_module(p) for p in files})
            print(f"mixers/{mixer}.py imports: {', '.join(own)}")
    if "--static" not in sys.argv:
        _trace()


def _lines(path: pathlib.Path) -> int:
    return len(path.read_text().splitlines())


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in every]


def _module(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> set[str]:
    """Every module that is named, also inside functions and for types alone."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _circles(imports: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """Modules that can be reached from themselves; packages' `__init__` left out.

    They only re-export, and importing a module runs those of its parents in any case.
    """
    packages = {name.rpartition(".")[0] for name in imports}
    graph = {
        name: {other for other in others if other in imports and other not in packages}
        for name, others in imports.items()
        if name not in packages
    }

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    ways = {name: reachable(name) for name in graph}
    return sorted(
        {
            tuple(sorted(o for o in ways[name] if name in ways[o]))
            for name in graph
            if name in ways[name]
        }
    )


def _trace() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf

    import tfmixup

    images = tf.zeros([64, 8, 8, 3], tf.uint8)
    examples = tf.data.Dataset.from_tensor_slices((images, tf.range(64) % 4))
    for kind in (tfmixup.MixUp, tfmixup.CutMix):
        entered: list[str] = []

        def note(frame, event, argument, entered=entered):
            name = frame.f_code.co_filename
            if event == "call" and name.startswith(str(PACKAGE)):
                entered.append(name)

        mixer = kind(num_classes=4)
        sys.setprofile(note)
        try:
            examples.apply(tfmixup.two_streams(mixer, 16, seed=1))
        finally:
            sys.setprofile(None)
        changes = sum(a != b for a, b in itertools.pairwise(entered))
        names = sorted({os.path.relpath(name, PACKAGE) for name in entered})
        print(
            f"building two_streams({kind.__name__}): {len(names)} files entered, "
            f"{changes} changes of file, {len(entered)} calls\n    {', '.join(names)}"
        )


if __name__ == "__main__":
    main()
