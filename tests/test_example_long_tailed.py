"""examples/long_tailed.py, run small."""

import importlib.util
import pathlib

import numpy as np
import pytest

PATH = pathlib.Path(__file__).parent.parent / "examples" / "long_tailed.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("long_tailed", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def digits():
    labels = np.repeat(np.arange(10), 60)
    images = np.eye(10, 64, dtype="float32")[labels]
    return (images, labels), (images[::6], labels[::6])


def test_the_tail_is_exponential_and_classes_are_numbered_by_frequency(example, digits):
    (images, labels), (_, test_labels) = example.long_tail(*digits, 50, seed=1)
    counts = np.bincount(labels)
    assert counts[0] == 60
    assert counts[9] == 1
    want = 60 * 50 ** (-np.arange(10) / 9)
    np.testing.assert_allclose(counts, want, atol=0.5)
    # An image and its label were renumbered together, test images alike.
    digit_of = {int(c): int(i.argmax()) for i, c in zip(images, labels)}
    assert sorted(digit_of.values()) == list(range(10))
    np.testing.assert_array_equal([digit_of[int(c)] for c in test_labels], digits[1][1])


@pytest.mark.slow
def test_it_runs(example, digits, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "load_digits", lambda: digits)
    figure = tmp_path / "mass.png"
    errors = example.main(["--seeds", "1", "--epochs", "2", "--figure", str(figure)])
    assert list(errors) == ["plain", "MixUp", "Balanced-MixUp", "Remix"]
    for ((overall, rare),) in errors.values():
        assert 0 <= overall <= 100
        assert 0 <= rare <= 100
    assert figure.stat().st_size > 1000
    lines = capsys.readouterr().out.splitlines()
    mass = {
        line.split()[0]: [float(number) for number in line.split()[-10:]]
        for line in lines
        if len(line.split()) >= 11 and line.split()[-1][0].isdigit()
    }
    # The rarest class has more of the label with either.
    assert mass["Balanced-MixUp"][9] > mass["plain"][9]
    assert mass["Remix"][9] > mass["MixUp"][9]


@pytest.mark.parametrize(
    "argument", ["--seeds=0", "--epochs=0", "--imbalance=0.5", "--alpha=0"]
)
def test_bad_arguments(example, argument, capsys):
    with pytest.raises(SystemExit):
        example.main([argument])
    assert "must be" in capsys.readouterr().err
