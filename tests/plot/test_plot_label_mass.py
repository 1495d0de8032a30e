"""The figure of label mass, before and after."""

import re
import sys

import numpy as np
import pytest
from looking import assert_readable

from tfmixup import plot, requirements


@pytest.mark.parametrize("names", [None, ["cat", "a long name", "lynx"]])
def test_two_bars_per_class(names):
    before, after = [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]
    figure = plot.label_mass(before, after, class_names=names)
    axes = figure.axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers]
    np.testing.assert_allclose(heights, np.array([before, after]) * 100)
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 100 / 3)
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == (names or ["0", "1", "2"])
    assert axes.get_xticklabels()[0].get_rotation() == (45 if names else 0)
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"before", "after", "equal shares"}
    light, dark = (np.mean(c.patches[0].get_facecolor()[:3]) for c in axes.containers)
    assert light - dark > 0.3  # told apart in grey too
    assert_readable(figure)


def test_many_classes_fit():
    shares = np.full(100, 0.01)
    figure = plot.label_mass(shares, shares, labels=("plain", "mixed"))
    assert figure.get_figwidth() <= 14
    assert len(figure.axes[0].get_xticks()) < 20
    assert_readable(figure)


@pytest.mark.parametrize(
    ("before", "after", "more", "message"),
    [
        ([0.5, 0.5], [1.0], {}, "2 classes and after 1"),
        ([0.5, 0.6], [0.5, 0.5], {}, "before must be shares"),
        ([0.5, 0.5], [[0.5, 0.5]], {}, "after must be shares"),
        ([1.5, -0.5], [0.5, 0.5], {}, "before must be shares"),
        ([0.5, np.nan], [0.5, 0.5], {}, "before must be shares"),
        ([0.5, 0.5], [0.5, 0.5], {"class_names": ["a"]}, "class_names has 1"),
        ([0.5, 0.5], [0.5, 0.5], {"labels": "ab"}, "labels must be two names"),
    ],
)
def test_what_cannot_be_drawn(before, after, more, message):
    with pytest.raises(ValueError, match=f"^tfmixup.plot.label_mass: .*{message}"):
        plot.label_mass(before, after, **more)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape(requirements.install("plot"))):
        plot.label_mass([0.5, 0.5], [0.5, 0.5])
