"""Every Python block of README.md and docs/ runs; the reference is complete."""

import inspect
import pathlib
import pkgutil
import re

import keras
import pytest

import tfmixup
import tfmixup.datasets
from tfmixup import checks

ROOT = pathlib.Path(__file__).parent.parent
PUBLIC = [tfmixup, tfmixup.keras, tfmixup.plot, tfmixup.datasets]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def python_blocks(page: pathlib.Path) -> list[str]:
    """Each behind as many empty lines as stand before it, which AutoGraph counts."""
    text = page.read_text()
    blocks = re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)
    return ["\n" * text[: b.start(1)].count("\n") + b[1] for b in blocks]


def pages_with_code() -> list[pathlib.Path]:
    """All but those whose code is another page's, as README's is the first page's."""
    by_code = {"".join(python_blocks(page)).replace("\n", ""): page for page in PAGES}
    return [page for code, page in by_code.items() if code]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where data sets are prepared, once, unless a page says otherwise."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, home, tmp_path, monkeypatch):
    if "keras.distillation" in page.read_text() and not hasattr(keras, "distillation"):
        pytest.skip("Keras has distillation from 3.12 on")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    fit = keras.Model.fit

    def fit_briefly(model, *args, initial_epoch=0, epochs=1, **kwargs):
        epochs = min(epochs, initial_epoch + 2)
        return fit(model, *args, initial_epoch=initial_epoch, epochs=epochs, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", fit_briefly)
    names: dict = {"__name__": "__main__"}
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), names)


def test_links_between_pages_lead_somewhere():
    links = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)", page.read_text())
        if "://" not in target
    ]
    assert links
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []


def test_every_public_name_is_in_the_reference():
    directives = re.findall(
        r"^::: (\S+)\n(?: {4}options: \{(.*)\}\n)?",
        "".join(f"{page.read_text()}\n" for page in (ROOT / "docs" / "api").glob("*")),
        re.M,
    )
    documented = {}
    for path, options in directives:
        heading = re.search(r"heading: (tfmixup[\w.]+)", options)
        documented[heading.group(1) if heading else path] = path
    public = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in PUBLIC
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name)) and name != "__version__"
    }
    for name in set(tfmixup.mixers.__all__) - set(tfmixup.__all__):
        public[f"tfmixup.mixers.{name}"] = getattr(tfmixup.mixers, name)
    assert set(documented) == set(public)
    for name, path in documented.items():
        # As mkdocstrings does, this finds a module before a function of its name;
        # there the directive needs the function's whole path.
        assert pkgutil.resolve_name(path) is public[name], path


def public_objects():
    for module in PUBLIC:
        yield module.__name__, module
        for name in module.__all__:
            obj = getattr(module, name)
            if callable(obj):
                yield f"{module.__name__}.{name}", obj
            for member, value in vars(obj).items() if inspect.isclass(obj) else ():
                if inspect.isfunction(value) and not member.startswith("_"):
                    yield f"{module.__name__}.{name}.{member}", value


def test_public_names_have_docstrings():
    bare = [name for name, obj in public_objects() if not (obj.__doc__ or "").strip()]
    assert bare == []


def test_every_page_is_in_the_site():
    config = (ROOT / ".mkdocs.yml").read_text()
    pages = [str(p.relative_to(ROOT / "docs")) for p in PAGES if p.name != "README.md"]
    missing = [page for page in pages if not re.search(rf"[: ]{page}$", config, re.M)]
    assert missing == []


def test_pages_that_errors_lead_to_are_there():
    """`see_docs("guide")` at the end of a message names a page."""
    sources = (ROOT / "tfmixup").rglob("*.py")
    named = {
        page
        for source in sources
        for page in re.findall(r'see_docs\("(\w+)"\)', source.read_text())
    }
    assert len(named) >= 5
    for page in named:
        title = (ROOT / "docs" / f"{page}.md").read_text().partition("\n")[0][2:]
        assert f'"{title}" of the documentation.' in checks.see_docs(page)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "api").glob("*.md")))
def test_the_reference_begins_with_a_line_for_each_name(page):
    rows = re.findall(
        r"^\| \[`([\w.]+)`\]\(#([\w.]+)\) \| (.*) \|$", page.read_text(), re.M
    )
    documented = re.findall(r"^::: (tfmixup[\w.]*)", page.read_text(), re.M)
    assert [anchor for _, anchor, _ in rows] == documented
    for name, _, line in rows:
        found = tfmixup
        for part in name.split("."):
            found = getattr(found, part)
        assert inspect.getdoc(found).partition("\n")[0] == line
