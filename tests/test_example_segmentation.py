"""The segmentation example: its scenes, its measure, and a tiny run."""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_datasets")
image_module = pytest.importorskip("PIL.Image")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def segmentation():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import segmentation as module

        yield module
    finally:
        sys.path.remove(str(EXAMPLES))


def test_scenes_label_what_can_be_seen(segmentation):
    digit = np.zeros([12, 12], np.float32)
    digit[3:9, 4:8], digit[2, 4:8] = 255, 100
    images, masks = segmentation.scenes([(digit, 6)], n=20, seed=0)
    assert (images.shape, masks.shape) == ((20, 24, 24, 1), (20, 24, 24))
    assert set(np.unique(masks)) == {0, 7, 255}
    assert np.all(images[..., 0][masks == 7] > 140)
    assert np.all(images[..., 0][masks == 0] < 60)
    # Two digits of 24 bright pixels each, less where they overlap.
    assert np.all((masks == 7).sum(axis=(1, 2)) <= 48)
    again = segmentation.scenes([(digit, 6)], n=20, seed=0)
    np.testing.assert_array_equal(again[1], masks)


def test_mean_iou_leaves_ignored_pixels_out(segmentation):
    masks = np.array([[[0, 0, 1, 1, 255, 2]]], np.uint8)
    predicted = np.array([[[0, 1, 1, 1, 1, 0]]])

    class Model:
        def predict_on_batch(self, images):
            return np.eye(4)[predicted]

    test = tf.data.Dataset.from_tensor_slices((masks, masks))
    # Class 0: 1 of 3 pixels, class 1: 2 of 3, class 2: 0 of 1; class 3 is nowhere.
    got = segmentation.mean_iou(Model(), test, 4)
    assert got == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


@pytest.mark.slow
def test_a_tiny_run(segmentation, tmp_path, capsys):
    arguments = ["--epochs", "1", "--limit", "64", "--out", str(tmp_path / "out")]
    results = segmentation.main([*arguments, "--data-dir", str(tmp_path)])
    assert list(results) == ["no mixing", "MixUp", "CutMix", "MixUp or CutMix"]
    assert all(0 <= iou <= 1 for runs in results.values() for iou in runs)
    # TFDS tells first that it prepares the digits.
    lines = capsys.readouterr().out.partition(" " * 16)[1:]
    lines = "".join(lines).splitlines()
    assert lines[0].split() == ["mean", "IoU", "spread", "s/epoch"]
    assert len({len(line) for line in lines[:6]}) == 1
    with image_module.open(tmp_path / "out" / "mixed_masks.png") as picture:
        assert min(picture.size) > 600


def test_help(segmentation, capsys):
    with pytest.raises(SystemExit, match="0"):
        segmentation.main(["--help"])
    assert "oxford_iiit_pet" in capsys.readouterr().out
