"""What is to be seen in a figure, by matplotlib's own objects."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def titles(figure):
    """The lines above every picture that has some."""
    return [a.get_title().split("\n") for a in figure.axes if a.get_title()]


def shown(figure, k=0):
    """What picture k shows: RGB (H, W, 3), or numbers."""
    return np.asarray(figure.axes[k].get_images()[0].get_array())


def assert_readable(figure):
    """No text lies on another text or beyond the edge, give or take a pixel."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    hidden = []  # ticks outside of the axes are made and not drawn
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                hidden += [tick.label1, tick.label2]
    found = [t for t in figure.findobj(Text) if t.get_text().strip()]
    drawn = [t for t in found if t.get_visible() and t not in hidden]
    placed = [(t.get_text(), t.get_window_extent(renderer)) for t in drawn]
    placed = [(t, b) for t, b in placed if b.width > 0 and b.height > 0]
    width, height = figure.get_size_inches() * figure.dpi
    assert placed
    for text, box in placed:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text
    for (text, box), (second, its) in itertools.combinations(placed, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        down = min(box.y1, its.y1) - max(box.y0, its.y0)
        assert across <= 1 or down <= 1, (text, second)
