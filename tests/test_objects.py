"""Boxes of mixed images against pixels: each box is painted, mixed and looked for.

Box c is painted on a canvas of its own, channel c, by its weight. In a mixed image the
pixels of channel c say where the box must be, how much of it is left and how heavy it
is. Boxes are whole pixels, so that all this is exact.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

HEIGHT, WIDTH, MOST = 8, 10, 3
COUNTS = (2, 1, 3, 0, 2, 1, 3, 2)  # boxes of each scene
N, C = len(COUNTS), sum(COUNTS)
ID = 2**40  # float32 cannot hold ids from here on
OPTIONS = {"target_keys": ("objects",), "max_boxes": 4 * MOST, "jit_compile": False}


def drawn_scenes(first=0, seed=0):
    """Images (N, H, W, 2·C), and the objects of each, numbered from `first`."""
    rng = np.random.default_rng(seed)
    images, scenes = np.zeros([N, HEIGHT, WIDTH, 2 * C], np.float32), []
    box = first
    for image, count in zip(images, COUNTS):
        rows = []
        for _ in range(count):
            top, left = rng.integers(0, [HEIGHT - 1, WIDTH - 1])
            bottom = rng.integers(top + 1, HEIGHT + 1)
            right = rng.integers(left + 1, WIDTH + 1)
            weight = np.float32(rng.uniform(0.5, 1))
            image[top:bottom, left:right, box] = weight
            rows.append((top, left, bottom, right, weight, box))
            box += 1
        scenes.append(np.array(rows, np.float32).reshape(-1, 6))
    return images, scenes


IMAGES, SCENES = drawn_scenes()
OTHERS, OTHER_SCENES = drawn_scenes(first=C, seed=1)
EVERY = np.concatenate(SCENES + OTHER_SCENES)
AREAS = (EVERY[:, 2] - EVERY[:, 0]) * (EVERY[:, 3] - EVERY[:, 1])


def ragged(images=IMAGES, scenes=SCENES, box_format="rel_yxyx", weigh=True):
    """The elements as TFDS has them, of ragged objects (N, n, ...)."""
    rows = tf.RaggedTensor.from_row_lengths(
        np.concatenate(scenes), [len(one) for one in scenes]
    )
    flat = rows.flat_values.numpy()
    boxes = keras.utils.bounding_boxes.convert_format(
        flat[:, :4], "yxyx", box_format, height=HEIGHT, width=WIDTH
    )
    numbers = flat[:, 5].astype(np.int64)
    objects = {
        "bbox": keras.ops.convert_to_numpy(boxes),
        "label": numbers % 5,
        "is_crowd": numbers % 2 == 1,
        "id": numbers + ID,
        "name": np.array([f"box {k}" for k in numbers], "S6"),
    }
    if weigh:
        objects["weight"] = flat[:, 4]
    else:
        images = (images > 0).astype(np.float32)
    made = {key: rows.with_flat_values(value) for key, value in objects.items()}
    return {"image": tf.constant(images), "objects": made, "file": np.arange(N)}


def examples(**given):
    return tf.data.Dataset.from_tensor_slices(ragged(**given))


def dense(element):
    """Ragged objects padded to the most of them, as Keras does: −1."""

    def pad(value):
        number = value.dtype.is_floating or value.dtype in (tf.int32, tf.int64)
        return value.to_tensor(-1 if number else None)

    return {**element, "objects": tf.nest.map_structure(pad, element["objects"])}


def around(pixels):
    ys, xs = np.nonzero(pixels)
    return [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


def check(image, rows, min_visible=0.0, unit=(HEIGHT, WIDTH)):
    """Looks for the boxes of one mixed image in its pixels: how many were compared."""
    rows = {key: np.asarray(value) for key, value in rows.items()}
    there, compared = rows["label"] != -1, 0
    n = there.sum()
    np.testing.assert_array_equal(there, np.arange(len(there)) < n)
    empty = {"bbox": -1, "label": -1, "name": b""}
    for key, value in rows.items():
        assert np.all(value[n:] == empty.get(key, 0)), key
    for c in range(image.shape[-1]):
        pixels = image[..., c]
        mine = np.flatnonzero(rows["id"] == c + ID)
        if np.count_nonzero(pixels) < max(min_visible * AREAS[c], 1):
            assert len(mine) == 0
            continue
        weights = rows["weight"][mine]
        np.testing.assert_array_equal(rows["label"][mine], c % 5)
        np.testing.assert_array_equal(rows["is_crowd"][mine], c % 2)
        np.testing.assert_array_equal(rows["name"][mine], b"box %d" % c)
        if len(mine) == 1:
            (box,) = rows["bbox"][mine] * np.tile(unit, 2)
            np.testing.assert_allclose(box, around(pixels), rtol=0, atol=1e-5)
            np.testing.assert_allclose(weights, pixels.max(), rtol=1e-6)
            compared += 1
        else:  # an image in this mixture twice
            assert len(mine) > 1
            assert weights.sum() >= pixels.max() - 1e-6
    assert n == np.sum(np.isin(rows["id"], np.arange(2 * C) + ID))
    return compared


def check_batches(batches, least, **given):
    """`check` of all images of batches; returns the objects of all."""
    compared = 0
    for batch in batches:
        for k, image in enumerate(batch["image"].numpy()):
            rows = {key: value[k] for key, value in batch["objects"].items()}
            compared += check(image, rows, **given)
    assert compared >= least


MIXERS = {
    "MixUp": tfmixup.MixUp(1.0, **OPTIONS),
    "CutMix": tfmixup.CutMix(min_visible=0.0, **OPTIONS),
    "Mosaic": tfmixup.Mosaic(min_visible=0.0, **OPTIONS),
}
MIXERS["RandomChoice"] = tfmixup.RandomChoice([*MIXERS.values()], per="example")


# Pairings ---------------------------------------------------------------------------


def padded(size, **given):
    # A slice of a ragged tensor is dense, and its spec is ragged until it is mapped.
    dataset = examples().map(lambda element: element)
    values = tf.nest.map_structure(lambda _: None, dataset.element_spec)
    values["objects"] |= {"bbox": -1.0, "label": tf.constant(-1, tf.int64)}
    return dataset.padded_batch(size, padding_values=values, **given)


def streams(mixer, size=4, dataset=None, **given):
    dataset = examples() if dataset is None else dataset
    return dataset.apply(tfmixup.two_streams(mixer, size, seed=1, **given))


PAIRINGS = {
    "two_streams": streams,
    "remainder": lambda m: streams(m, 5, drop_remainder=False),
    "partner": lambda m: streams(
        m, partner=examples(images=OTHERS, scenes=OTHER_SCENES)
    ),
    "originals": lambda m: streams(m, keep_originals=True),
    "same_batch": lambda m: streams(m, keep_originals="same_batch"),
    "in_batch ragged": lambda m: (
        examples().ragged_batch(4).apply(tfmixup.in_batch(m, seed=1))
    ),
    "in_batch padded": lambda m: padded(4, drop_remainder=True).apply(
        tfmixup.in_batch(m, seed=1)
    ),
    "map": lambda m: examples().ragged_batch(4).map(m),
    "pair": lambda m: tf.data.Dataset.zip(
        (
            examples().ragged_batch(4),
            examples(images=OTHERS, scenes=OTHER_SCENES).ragged_batch(4),
        )
    ).map(m.pair),
    "from_tensors": lambda m: tfmixup.from_tensors(dense(ragged()), m, 4, seed=1),
    "from_tensors partner": lambda m: tfmixup.from_tensors(
        dense(ragged()),
        m,
        5,
        seed=1,
        partner=dense(ragged(images=OTHERS, scenes=OTHER_SCENES)),
        drop_remainder=False,
        keep_originals="same_batch",
    ),
}


CHOSEN = ("two_streams", "in_batch ragged", "from_tensors")


@pytest.mark.parametrize(
    ("pairing", "name"),
    [
        *((pairing, "Mosaic") for pairing in PAIRINGS),
        *(("partner", name) for name in ("MixUp", "CutMix")),
        *((pairing, "RandomChoice") for pairing in CHOSEN),
    ],
)
def test_boxes_are_where_their_pixels_are(pairing, name):
    mixed = PAIRINGS[pairing](MIXERS[name])
    dynamic = {"remainder", "in_batch ragged", "map", "pair", "from_tensors partner"}
    size = None if pairing in dynamic else 8 if pairing == "same_batch" else 4
    objects = mixed.element_spec["objects"]
    assert objects["bbox"] == tf.TensorSpec([size, 4 * MOST, 4], tf.float32)
    types = {"label": tf.int64, "id": tf.int64, "name": tf.string, "is_crowd": tf.bool}
    for key, dtype in {**types, "weight": tf.float32}.items():
        assert objects[key] == tf.TensorSpec([size, 4 * MOST], dtype)
    check_batches(mixed, least=C)


def test_layouts_of_keras_and_tuples():
    mixer = tfmixup.MixUp(
        1.0,
        feature_keys=("images",),
        target_keys=("bounding_boxes",),
        max_boxes=2 * MOST,
        box_format="xywh",
        jit_compile=True,
    )
    renamed = {"bbox": "boxes", "label": "labels"}

    def keras_like(element):
        boxes = {renamed.get(k, k): v for k, v in element["objects"].items()}
        boxes["labels"] = tf.cast(boxes["labels"], tf.float32)  # as Keras has them
        return {"images": element["image"], "bounding_boxes": boxes}

    dataset = examples(box_format="xywh").map(keras_like)
    as_dict = list(streams(mixer, dataset=dataset))
    tuples = dataset.map(lambda e: (e["images"], e["bounding_boxes"]))
    as_tuple = list(streams(mixer, dataset=tuples))
    several = dataset.map(lambda e: (e["images"], {"it": e["bounding_boxes"]}))
    as_several = list(streams(mixer, dataset=several))
    compared = 0
    for one, other, third in zip(as_dict, as_tuple, as_several, strict=True):
        tf.nest.map_structure(
            np.testing.assert_array_equal, (one["images"], one["bounding_boxes"]), other
        )
        tf.nest.map_structure(
            np.testing.assert_array_equal, other, (third[0], third[1]["it"])
        )
        rows = {old: other[1][new] for old, new in renamed.items()}
        rows |= {k: other[1][k] for k in ("weight", "id", "name", "is_crowd")}
        corners = keras.utils.bounding_boxes.convert_format(
            rows["bbox"], "xywh", "yxyx"
        )
        there = rows["label"][..., None] != -1
        rows["bbox"] = tf.where(there, corners, rows["bbox"])
        for k, image in enumerate(other[0].numpy()):
            mine = {key: value[k] for key, value in rows.items()}
            compared += check(image, mine, unit=(1, 1))
    assert compared >= C


def test_large_boxes_of_float16_are_seen():
    """They have more square pixels than float16 can count."""
    boxes = np.float16([[[10, 20, 410, 420], [0, 0, 512, 512]]])
    element = {"image": np.zeros([1, 512, 512, 1], np.uint8)}
    element["objects"] = {"bbox": boxes, "label": np.array([[1, 2]])}
    options = {**OPTIONS, "box_format": "xyxy"}
    one, centre = tf.ones([1]), tf.ones([1, 2])
    for mixer, params in (
        (tfmixup.CutMix(**options), tfmixup.CutMixParams(one, centre / 2)),
        (tfmixup.Mosaic(**options), tfmixup.MosaicParams(centre)),
    ):
        got = mixer.apply(element, element, params)["objects"]
        np.testing.assert_array_equal(got["label"][0, :3], [1, 2, -1])
        np.testing.assert_array_equal(got["bbox"][0, :2], boxes[0])


@pytest.mark.parametrize("n", [64, 82, 83, 110, 1312])
def test_a_box_at_the_border_is_covered_up_to_it(n):
    """n · (1/n) is less than 1 in float32 for all but the first of these sizes."""
    boxes = np.float32([[[0.7, 0.2, 1.0, 0.8]]])
    element = {"image": np.zeros([1, n, n, 1], np.uint8)}
    element["objects"] = {"bbox": boxes, "label": np.array([[1]])}
    params = tfmixup.CutMixParams(tf.constant([0.64]), tf.constant([[0.9, 0.8]]))
    for far in (1.0, 1.0005):
        boxes[0, 0, 2] = far
        got = tfmixup.CutMix(**OPTIONS).apply(element, element, params)["objects"]
        hole = np.clip(np.floor(np.array([0.9, 0.8]) * n - 0.3 * n + 0.5), 0, n) / n
        np.testing.assert_allclose(got["bbox"][0, 0, 3], hole[1], atol=1 / n)
        np.testing.assert_array_equal(got["bbox"][0, 0, :3], boxes[0, 0, :3])
    boxes[0, 0] = [0, 0, 1, 1]
    whole = tfmixup.MosaicParams(tf.ones([1, 2]))
    got = tfmixup.Mosaic(**OPTIONS).apply(element, element, whole)["objects"]
    np.testing.assert_array_equal(got["bbox"][0, 0], boxes[0, 0])


def test_boxes_that_are_keys_of_the_element():
    nested = ragged()
    flat = {"image": nested["image"], **nested["objects"]}
    keys = {**OPTIONS, "target_keys": tuple(nested["objects"])}
    kinds = {"MixUp": {"alpha": 1.0}, "Mosaic": {}}
    for name, arguments in kinds.items():
        kind = getattr(tfmixup, name)
        want = kind(**arguments, **OPTIONS)(nested, seed=[1, 2])
        got = kind(**arguments, **keys)(flat, seed=[1, 2])
        assert got.keys() == {"image", *want["objects"]}
        for key, value in want["objects"].items():
            np.testing.assert_array_equal(got[key], value)
    pipeline = tf.data.Dataset.from_tensor_slices(flat)
    stage = tfmixup.two_streams(tfmixup.MixUp(1.0, **keys), 2, seed=1)
    spec = pipeline.apply(stage).element_spec
    assert spec["bbox"].shape == (2, OPTIONS["max_boxes"], 4)


@pytest.mark.parametrize(
    ("box_format", "dtype"),
    [("rel_center_xywh", "float64"), ("center_yxhw", "float16"), ("yxyx", "bfloat16")],
)
def test_formats_and_dtypes(box_format, dtype):
    relative = box_format.startswith("rel")
    unit = (HEIGHT, WIDTH) if relative else (1, 1)
    options = {**OPTIONS, "box_format": box_format}
    given = [
        ragged(images, scenes, box_format)
        for images, scenes in ((IMAGES, SCENES), (OTHERS, OTHER_SCENES))
    ]
    for one in given:
        one["objects"]["bbox"] = tf.cast(one["objects"]["bbox"], dtype)
    for mixer in (
        tfmixup.MixUp(1.0, **options),
        tfmixup.CutMix(min_visible=0.0, **options),
        tfmixup.Mosaic(min_visible=0.0, **options),
    ):
        mixed = mixer.apply(*given, mixer.sample(N, [1, 2]))
        boxes, there = mixed["objects"]["bbox"], mixed["objects"]["label"] != -1
        assert boxes.dtype == dtype
        corners = keras.utils.bounding_boxes.convert_format(
            tf.cast(boxes, tf.float32),
            box_format,
            "rel_yxyx" if relative else "yxyx",
            height=HEIGHT,
            width=WIDTH,
        )
        kept = tf.where(there[..., None], corners, tf.cast(boxes, tf.float32))
        mixed["objects"]["bbox"] = kept
        check_batches([mixed], least=C, unit=unit)


def test_all_boxes_of_both_come_as_they_were():
    """MixUp: every box once, to the last bit, with λ·w or (1 − λ)·w."""
    mixer = tfmixup.MixUp(**OPTIONS)
    lam = np.array([0.3, 1, 0, 0.5, 0.9, 1, 0.1, 1], np.float32)
    elements = ragged(), ragged(OTHERS, OTHER_SCENES)
    got = mixer.apply(*elements, tfmixup.MixUpParams(lam))["objects"]
    for k in range(N):
        shares = (lam[k], 1 - lam[k])
        for key in ("bbox", "label", "id", "name", "is_crowd", "weight"):
            parents = [e["objects"][key][k].numpy() for e in elements]
            if key == "weight":
                parents = [s * parent for s, parent in zip(shares, parents)]
            want = np.concatenate([p for p, s in zip(parents, shares) if s > 0])
            np.testing.assert_array_equal(got[key][k, : len(want)], want)
            there = got["label"][k] != -1
            assert there.numpy().sum() == len(want)


@pytest.mark.parametrize("min_visible", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", [tfmixup.CutMix, tfmixup.Mosaic])
def test_boxes_of_which_little_is_left_are_dropped(kind, min_visible):
    mixer = kind(min_visible=min_visible, **OPTIONS)
    elements = ragged(), ragged(OTHERS, OTHER_SCENES)
    for seed in range(8):
        mixed = mixer.apply(*elements, mixer.sample(N, [seed, 2]))
        check_batches([mixed], least=1, min_visible=min_visible)


def test_weights_are_added_where_none_are_and_left_out_where_not_wanted():
    elements = [
        ragged(*scenes, weigh=False)
        for scenes in ((IMAGES, SCENES), (OTHERS, OTHER_SCENES))
    ]
    mixer = MIXERS["MixUp"]
    params = mixer.sample(N, [1, 2])
    check_batches([mixer.apply(*elements, params)], least=C)
    off = tfmixup.MixUp(**OPTIONS, box_weights=False)
    got = off.apply(*elements, params)["objects"]
    assert "weight" not in got
    weighed = [ragged(), ragged(OTHERS, OTHER_SCENES)]
    own = off.apply(*weighed, params)["objects"]
    given = {row[5]: row[4] for row in EVERY}
    there = own["label"].numpy() != -1
    want = [given[number - ID] for number in own["id"].numpy()[there]]
    np.testing.assert_array_equal(own["weight"].numpy()[there], want)


def test_what_is_not_mixed_has_its_own_boxes():
    for mixer in MIXERS.values():
        got = mixer.off()(ragged(), seed=[1, 2])
        np.testing.assert_array_equal(got["image"], IMAGES)
        check_batches([got], least=C)
        one = tf.nest.map_structure(lambda t: t[:1], ragged())
        got = mixer(one, seed=[1, 2])
        np.testing.assert_array_equal(got["image"], one["image"])
        check_batches([got], least=COUNTS[0])
        assert np.sum(got["objects"]["label"] != -1) == COUNTS[0]


def test_labels_of_whole_images_beside_boxes():
    keys = {**OPTIONS, "target_keys": ("file", "objects"), "num_classes": N}
    elements = ragged(), ragged(OTHERS, OTHER_SCENES)
    for kind in (tfmixup.MixUp, tfmixup.CutMix, tfmixup.Mosaic):
        mixer, alone = kind(1.0) if kind != tfmixup.Mosaic else kind(), kind(**keys)
        params = alone.sample(N, [1, 2])
        got = alone.apply(*elements, params)
        without = [{"image": e["image"], "label": e["file"]} for e in elements]
        want = type(mixer)(num_classes=N).apply(*without, params)
        np.testing.assert_allclose(got["file"], want["label"], atol=1e-6)
        check_batches([got], least=C, min_visible=0.0 if kind == tfmixup.MixUp else 0.1)


def test_two_kinds_of_boxes():
    mixer = tfmixup.CutMix(min_visible=0.0, **OPTIONS)
    both = dataclasses.replace(mixer, target_keys=("objects", "parts"))
    elements = [ragged(), ragged(OTHERS, OTHER_SCENES)]
    params = mixer.sample(N, [1, 2])
    alone = mixer.apply(*elements, params)["objects"]
    parts = [
        {"bbox": e["objects"]["bbox"], "label": e["objects"]["label"] + 7}
        for e in elements
    ]
    two = [{**e, "parts": part} for e, part in zip(elements, parts)]
    got = both.apply(*two, params)
    tf.nest.map_structure(np.testing.assert_array_equal, got["objects"], alone)
    np.testing.assert_array_equal(got["parts"]["bbox"], alone["bbox"])
    shifted = np.where(alone["label"] == -1, -1, alone["label"] + 7)
    np.testing.assert_array_equal(got["parts"]["label"], shifted)
    # This one has no weights of its own, and a box of CutMix weighs 1.
    np.testing.assert_array_equal(got["parts"]["weight"], alone["label"] != -1)


def test_a_chain_of_mosaic_and_mixup():
    mosaics = streams(
        MIXERS["Mosaic"], partner=examples(images=OTHERS, scenes=OTHER_SCENES)
    )
    mixer = tfmixup.MixUp(1.0, **{**OPTIONS, "max_boxes": 8 * MOST})
    chain = mosaics.apply(tfmixup.in_batch(mixer, seed=2))
    assert chain.element_spec["objects"]["bbox"].shape == [4, 8 * MOST, 4]
    check_batches(chain, least=C)


def test_images_without_boxes():
    blank = np.zeros_like(IMAGES), [np.zeros([0, 6], np.float32)] * N
    batches = [ragged(*blank), ragged(OTHERS, OTHER_SCENES)]
    for mixer in MIXERS.values():
        params = mixer.sample(N, [1, 2])
        check_batches([mixer.apply(batches[0], batches[0], params)], least=0)
        check_batches([mixer.apply(*batches, params)], least=1)
    dataset = examples(images=blank[0], scenes=blank[1])
    check_batches(streams(MIXERS["RandomChoice"], partner=dataset), least=1)


def test_padded_shapes_with_boxes_in_pixels():
    def cut(element):
        """Images of other sizes: without rows below and columns to the right."""
        boxes = element["objects"]["bbox"]
        most = tf.cast(tf.reduce_max(tf.concat([boxes, [[1.0] * 4]], 0), 0), tf.int32)
        image = element["image"][: most[2], : most[3]]
        return {**element, "image": tf.ensure_shape(image, [None, None, 2 * C])}

    dataset = examples(box_format="yxyx").map(cut)
    shapes = tf.nest.map_structure(lambda s: s.shape, dataset.element_spec)
    shapes["objects"] = {
        k: [4 * MOST, *s.shape[1:]] for k, s in dataset.element_spec["objects"].items()
    }
    for kind in (tfmixup.MixUp, tfmixup.CutMix):
        options = {**OPTIONS, "box_format": "yxyx"}
        mixer = kind(1.0, **options)
        mixed = streams(mixer, dataset=dataset, padded_shapes=shapes)
        least = 0.0 if kind == tfmixup.MixUp else 0.1
        check_batches(mixed, least=C, unit=(1, 1), min_visible=least)
    relative = examples().map(cut)
    message = r"^tfmixup\.two_streams: padded_shapes changes the size of images, and b"
    with pytest.raises(ValueError, match=message) as caught:
        streams(MIXERS["MixUp"], dataset=relative, padded_shapes=shapes)
    assert "box_format='xyxy'" in str(caught.value)
    # Images that are of one size are not padded.
    whole = {**shapes, "image": [HEIGHT, WIDTH, 2 * C]}
    mixed = streams(MIXERS["MixUp"], dataset=examples(), padded_shapes=whole)
    check_batches(mixed, least=C)


# Seeds ------------------------------------------------------------------------------


def everything(batches):
    return [
        [leaf.numpy().tolist() for leaf in tf.nest.flatten(batch)] for batch in batches
    ]


def test_a_seed_repeats_and_a_checkpoint_resumes(tmp_path):
    mixer = MIXERS["CutMix"]

    def epochs():
        return streams(mixer, 3, examples().shuffle(N, seed=3)).repeat(3)

    whole = everything(epochs())
    assert whole == everything(epochs())
    assert len({str(batch) for batch in whole}) == len(whole) == 6
    iterator = iter(epochs())
    for _ in range(3):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))
    restored = iter(epochs())
    tf.train.Checkpoint(iterator=restored).read(path).assert_consumed()
    assert everything(restored) == whole[3:]


def test_ragged_batches_share_a_plan():
    mixer = tfmixup.MixUp(**OPTIONS)
    for batch in examples().ragged_batch(2):
        mixer(batch, seed=[1, 2])
    assert len(mixer._plans) == 1


def test_channels_first_in_a_nested_choice():
    inner = tfmixup.CutMix(axes=(2, 3), min_visible=0.0, **OPTIONS)
    mixer = tfmixup.RandomChoice([tfmixup.RandomChoice([inner])])

    def turned(element):
        return {**element, "image": tf.transpose(element["image"], [0, 3, 1, 2])}

    elements = turned(ragged()), turned(ragged(OTHERS, OTHER_SCENES))
    mixed = mixer.apply(*elements, mixer.sample(N, [1, 2]))
    mixed["image"] = tf.transpose(mixed["image"], [0, 2, 3, 1])
    check_batches([mixed], least=C)
