"""`.ci/mutants.py`: lists of bugs are read as they are written, and cannot go stale."""

import importlib.util
import pathlib
import sys

import pytest

PATH = pathlib.Path(__file__).parents[1] / ".ci" / "mutants.py"
LIST = """\
# What is before the first entry is a comment.

## One line becomes two
blending.py: slow test_blending.py mixers/test_mixup.py
 a = 1
-b = 2
+b = 3
+c = 4

## A line goes
blending.py: test_blending.py
survives: it is not used
-b = 2
"""


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look it up
    sys.path.insert(0, str(PATH.parent))  # as where the script is run
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(PATH.parent))
    del sys.modules["mutants"]


def test_a_list_is_read(mutants):
    first, second = mutants.parse(LIST)
    assert first.name == "One line becomes two"
    assert first.file == "tfmixup/blending.py"
    assert first.tests == ("test_blending.py", "mixers/test_mixup.py")
    assert first.slow
    assert not second.slow
    assert (first.survives, second.survives) == ("", "it is not used")
    assert first.broken("a = 1\nb = 2\n") == "a = 1\nb = 3\nc = 4\n"
    assert second.broken("b = 2\nbb = 2\n") == "bb = 2\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a = 1\n", "stand 0 times"),
        ("b = 2\na = b\nb = 2\n", "stand 2 times"),
        ("bb = 2\n", "stand 0 times"),
        ("if a:\nb = 2\n", "no Python"),
    ],
)
def test_what_does_not_apply_is_an_error(mutants, source, message):
    _, second = mutants.parse(LIST)
    with pytest.raises(ValueError, match=message):
        second.broken(source)


@pytest.mark.parametrize("left_out", ["blending.py: ", "-b = 2\n", " a = 1\n-b = 2\n"])
def test_what_is_no_entry_is_an_error(mutants, left_out):
    entry = LIST.replace(left_out, "" if left_out[0] == "b" else "b = 2\n")
    with pytest.raises(ValueError, match="One line becomes two"):
        list(mutants.parse(entry))


def test_expected_is_killed_unless_there_is_a_reason_to_survive(mutants):
    killed, kept = mutants.parse(LIST)
    expected = {
        (mutant.name, result): mutants.Outcome(mutant, result, "", 1.0).is_expected
        for mutant in (killed, kept)
        for result in ("killed", "timeout", "survived", "error")
    }
    assert expected[killed.name, "killed"]
    assert expected[kept.name, "survived"]
    assert sum(expected.values()) == 2
