"""Boxes over any axes, against elements set and counted one example at a time."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import ROUTES, blend, mixed, one_hot, weigh
from tfmixup.elements import Parts

JIT = [True, False]
N, C = 6, 4
LAM = np.array([0.0, 0.3, 0.75, 1.0, 0.5, 0.9], np.float32)
DRAW = np.random.default_rng(0)
CENTRE = DRAW.random([N, 3], "float32")
IDS = np.arange(N) % C, (np.arange(N) + 1) % C


def params(axes):
    return tfmixup.CutMixParams(tf.constant(LAM), tf.constant(CENTRE[:, : len(axes)]))


def box_of(size):
    """bool (N, *size): what the formula puts into the box, rounded and clipped."""
    inside = np.zeros([N, *size], bool)
    for k in range(N):
        side = (1 - float(LAM[k])) ** (1 / len(size))
        spans = []
        for at, n in zip(CENTRE[k].astype(float), size):
            ends = (math.floor(n * (at + s * side / 2) + 0.5) for s in (-1, 1))
            spans.append(slice(*(min(max(end, 0), n) for end in ends)))
        inside[(k, *spans)] = True
    return inside


def spread(inside, axes, rank):
    """The box's dimensions at the axes of a tensor, in ascending order."""
    shape = [N] + [1] * (rank - 1)
    for axis, n in zip(axes, inside.shape[1:]):
        shape[axis] = n
    return inside.reshape(shape)


def paste(inside, axes, first, second):
    return np.where(spread(inside, axes, np.ndim(first)), second, first)


def pair(*shape, seed=1, dtype="float32"):
    draw = np.random.default_rng([seed, *shape])
    return [draw.integers(0, 99, [N, *shape]).astype(dtype) for _ in range(2)]


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 9, 14), (2, 3)),  # channels first
        ((9, 14), (1, 2)),  # no channels
        ((23, 5), (1,)),  # a time series
        ((23,), (1,)),  # a sound
        ((4, 5, 6, 2), (1, 2, 3)),  # a volume
        ((2, 4, 5, 6), (2, 3, 4)),  # one with channels first
        ((7, 4, 5, 3), (1,)),  # all of some frames
        ((6, 3, 8), (1, 3)),  # time and frequency of several microphones
    ],
)
def test_cutmix_along_axes(shape, axes, jit):
    x = pair(*shape)
    mixer = tfmixup.CutMix(axes=axes, num_classes=C, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), params(axes))
    inside = box_of([shape[axis - 1] for axis in axes])
    np.testing.assert_array_equal(got, paste(inside, axes, *x))
    kept = 1 - inside.reshape(N, -1).mean(axis=1)
    want = blend(one_hot(IDS[0], C), one_hot(IDS[1], C), kept)
    np.testing.assert_allclose(label, want, atol=1e-6)


def test_axes_of_images_give_what_none_gives():
    x = pair(9, 14, 3)
    plain, same, turned = (
        tfmixup.CutMix(num_classes=C, axes=axes) for axes in (None, (1, 2), (2, 3))
    )
    want = plain.apply((x[0], IDS[0]), (x[1], IDS[1]), plain.sample(N, [1, 2]))
    got = same.apply((x[0], IDS[0]), (x[1], IDS[1]), same.sample(N, [1, 2]))
    x = [np.moveaxis(image, -1, 1) for image in x]
    first = turned.apply((x[0], IDS[0]), (x[1], IDS[1]), turned.sample(N, [1, 2]))
    for one, other in ((want[0], got[0]), (want[0], np.moveaxis(first[0], 1, -1))):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(want[1], got[1])
    np.testing.assert_array_equal(want[1], first[1])


@pytest.mark.parametrize("share", [0.25, 0.5, 0.875])
def test_the_side_is_a_root_of_the_share(share):
    """In a long axis the piece has the length 1 − λ, in three its cube root."""
    for axes, size in (((1,), (1000,)), ((1, 2, 3), (1000, 10, 10))):
        given = tfmixup.CutMixParams(
            tf.constant([1 - share]), tf.fill([1, len(axes)], 0.5)
        )
        x, y = tf.zeros([2, *size]), tf.zeros([2])
        got, _ = tfmixup.CutMix(axes=axes).apply((x, y), (x + 1, y), given)
        along = np.max(got, axis=(0, *axes[1:])).sum()
        assert along == pytest.approx(1000 * share ** (1 / len(axes)), abs=1)


# Targets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jit", "unknown"), [(True, False), (False, False), (False, True)]
)
def test_targets_of_channels_first_images_are_pasted_alike(jit, unknown):
    """Those at the features' axes, and those directly after the batch."""
    h, w = 6, 9
    x, weights = pair(3, h, w), [v + 1 for v in pair(seed=3)]
    targets = {
        "image": ((2, 3), pair(2, h, w)),
        "depth": ((1, 2), pair(h, w)),
        "hot": ((1, 2), pair(h, w, 5)),
        "mask": ((1, 2), [m % C for m in pair(h, w, dtype="uint8")]),
        "mask of one channel": ((1, 2), [m % C for m in pair(h, w, 1, dtype="int64")]),
        "class": (None, list(IDS)),
        "tasks": (None, pair(w)),
    }
    weights = dict.fromkeys(targets, weights) | {"depth": pair(h, w, seed=4)}
    both = [
        (
            x[k],
            {key: y[k] for key, (_, y) in targets.items()},
            {key: v[k] for key, v in weights.items()},
        )
        for k in range(2)
    ]
    mixer = tfmixup.CutMix(axes=(2, 3), num_classes=C, jit_compile=jit)

    def apply(first, second):
        return mixer.apply(first, second, params((2, 3)))

    if unknown:
        # Of images and their like, the number of channels alone is known.
        spec = tf.nest.map_structure(
            lambda t: tf.TensorSpec([None if n in (N, h, w) else n for n in t.shape],
                t.dtype), both[0],
        )  # fmt: skip
        apply = tf.function(apply, input_signature=[spec, spec], autograph=False)
    got = apply(*both)
    inside = box_of([h, w])
    np.testing.assert_array_equal(got[0], paste(inside, (2, 3), *x))
    for key, (axes, y) in targets.items():
        if "mask" in key:
            y = [one_hot(ids.reshape(N, h, w), C) for ids in y]
        elif key == "class":
            y = [one_hot(ids, C) for ids in y]
        if axes is None:
            w_want, share = weigh(*weights[key], 1 - inside.mean(axis=(1, 2)))
            want = blend(*y, share)
        else:
            want = paste(inside, axes, *y)
            positions = np.ones(want.shape[: axes[-1] + 1])
            each = [
                v.reshape(v.shape + (1,) * (positions.ndim - v.ndim)) * positions
                for v in weights[key]
            ]
            w_want = paste(inside, axes, *each)
        np.testing.assert_allclose(got[1][key], want, atol=1e-4, err_msg=key)
        np.testing.assert_allclose(got[2][key], w_want, rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("jit", JIT)
def test_targets_of_a_series(jit):
    """Frames are pasted; class ids stay whole, even of as many classes as frames."""
    t = C
    x, frames, flags = pair(t, 5), pair(t, C), pair(t, 1, seed=2)
    mixer = tfmixup.CutMix(axes=(1,), num_classes=C, jit_compile=jit)
    y = [{"frames": frames[k], "flags": flags[k], "id": IDS[k]} for k in range(2)]
    got_x, got = mixer.apply((x[0], y[0]), (x[1], y[1]), params((1,)))
    inside = box_of([t])
    np.testing.assert_array_equal(got_x, paste(inside, (1,), *x))
    np.testing.assert_array_equal(got["frames"], paste(inside, (1,), *frames))
    np.testing.assert_array_equal(got["flags"], paste(inside, (1,), *flags))
    kept = 1 - inside.mean(axis=1)
    want = blend(one_hot(IDS[0], C), one_hot(IDS[1], C), kept)
    np.testing.assert_allclose(got["id"], want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
def test_class_ids_of_frames_are_pasted(jit):
    x, ids, w = pair(8, 5), [y % C for y in pair(8, dtype="int32")], pair(seed=3)
    mixer = tfmixup.CutMix(axes=(1,), num_classes=C, jit_compile=jit)
    elements = [(x[k], ids[k], w[k] + 1) for k in range(2)]
    _, y, w_got = mixer.apply(*elements, params((1,)))
    inside = box_of([8])
    want = paste(inside, (1,), *(one_hot(i, C) for i in ids))
    np.testing.assert_allclose(y, want, atol=1e-6)
    np.testing.assert_allclose(
        w_got, np.where(inside, *(v[:, None] + 1 for v in w[::-1]))
    )


def test_the_classes_of_a_mask_are_no_axis_of_the_box():
    """One-hot it could have the axes in two places."""
    x, ids = pair(3, C, C), [y % C for y in pair(C, C, dtype="int32")]
    mixer = tfmixup.CutMix(axes=(2, 3), num_classes=C)
    _, y = mixer.apply((x[0], ids[0]), (x[1], ids[1]), params((2, 3)))
    want = paste(box_of([C, C]), (1, 2), *(one_hot(i, C) for i in ids))
    np.testing.assert_array_equal(y, want)


def test_transcripts_stay_pairs():
    x, ids = pair(8, 5), pair(3, dtype="int32")
    mixer = tfmixup.CutMix(axes=(1,), targets="pair")
    _, y = mixer.apply((x[0], ids[0]), (x[1], ids[1]), params((1,)))
    np.testing.assert_array_equal(y[0], ids[0])
    np.testing.assert_array_equal(y[1], ids[1])
    np.testing.assert_allclose(y[2], 1 - box_of([8]).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("shape", "axes", "target", "at", "stride"),
    [
        ((8, 12, 3), None, (2, 3, 5), (1, 2), 4),
        ((2, 8, 12, 1), None, (2, 4, 6), (2, 3), 2),
        ((3, 9, 6), (2, 3), (7, 3, 2), (2, 3), 3),
        ((3, 9, 6), (2, 3), (3, 2), (1, 2), 3),
        ((4, 6, 8, 1), (1, 2, 3), (2, 3, 4), (1, 2, 3), 2),
        ((6, 6, 1), None, (1, 1, 5), (1, 2), 6),
    ],
)
def test_cells_are_blended_by_their_share(shape, axes, target, at, stride, jit):
    """Each by the elements kept in it, counted; so are the weights of examples."""
    x, y, w = pair(*shape), pair(*target, seed=2), pair(seed=3)
    mixer = tfmixup.CutMix(axes=axes, jit_compile=jit)
    spanned = axes or (len(shape) - 2, len(shape) - 1)
    size = [shape[axis - 1] for axis in spanned]
    inside = box_of(size)
    given = params(spanned)
    got_x, got = mixer.apply((x[0], y[0]), (x[1], y[1]), given)
    np.testing.assert_array_equal(got_x, paste(inside, spanned, *x))
    kept = np.zeros([N, *(n // stride for n in size)])
    for cell in np.ndindex(kept.shape):
        within = (slice(i * stride, (i + 1) * stride) for i in cell[1:])
        kept[cell] = 1 - inside[(cell[0], *within)].mean()
    assert np.any((kept > 0) & (kept < 1))
    share = spread(kept, at, len(target) + 1)
    want = share * y[0] + (1 - share) * y[1]
    np.testing.assert_allclose(got, want, atol=1e-4)
    _, weighted, w_got = mixer.apply((x[0], y[0], w[0]), (x[1], y[1], w[1]), given)
    w_first, w_second = (v.reshape([N] + [1] * len(target)) for v in w)
    total = share * w_first + (1 - share) * w_second
    w_want = np.broadcast_to(total, [N, *target])[(..., *[0] * (len(target) - at[-1]))]
    np.testing.assert_allclose(w_got, w_want, rtol=1e-5)
    want = share * w_first * y[0] + (1 - share) * w_second * y[1]
    np.testing.assert_allclose(total * weighted, want, rtol=1e-4, atol=1e-2)


def test_masks_of_cells_come_one_hot():
    x, masks = pair(8, 12, 3), [m % C for m in pair(4, 6, dtype="uint8")]
    masks[0][:, 0] = 255
    mixer = tfmixup.CutMix(num_classes=C, ignore_label=255)
    given = params((1, 2))
    _, got, w = mixer.apply((x[0], masks[0]), (x[1], masks[1]), given)
    second = box_of([8, 12]).reshape(N, 4, 2, 6, 2).mean(axis=(2, 4))
    parts = [(1 - second) * (masks[0] != 255), second * (masks[1] != 255)]
    np.testing.assert_allclose(w, sum(parts), atol=1e-6)
    want = sum(part[..., None] * one_hot(m, C) for part, m in zip(parts, masks))
    np.testing.assert_allclose(w[..., tf.newaxis] * got, want, atol=1e-6)
    # MixUp blends such masks too, so that a choice of both works.
    choice = tfmixup.RandomChoice(
        [tfmixup.MixUp(num_classes=C), tfmixup.CutMix(num_classes=C)], per="example"
    )
    assert choice(x[0], masks[1])[1].shape == (N, 4, 6, C)


# ResizeMix --------------------------------------------------------------------------


def small(second, length, axis):
    """The elements nearest to the centres of `length` equal parts."""
    n = second.shape[axis]
    at = (2 * np.arange(length) + 1) * n // (2 * length)
    return np.take(second, np.minimum(at, n - 1), axis)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("shape", "axes"), [((13, 2), (1,)), ((3, 8, 5), (2, 3)), ((4, 5, 6, 1), (1, 2, 3))]
)
def test_resizemix_along_axes(shape, axes, jit):
    scale = np.array([0.1, 0.5, 0.8, 0.0, 0.33, 1.0], np.float32)
    place = CENTRE[:, : len(axes)]
    x, dense = pair(*shape), pair(*[shape[axis - 1] for axis in axes], 1, seed=2)
    mixer = tfmixup.ResizeMix(
        axes=axes, num_classes=C, interpolation="nearest", jit_compile=jit
    )
    y = [{"dense": dense[k], "id": IDS[k]} for k in range(2)]
    given = tfmixup.ResizeMixParams(tf.constant(scale), tf.constant(place))
    got_x, got = mixer.apply((x[0], y[0]), (x[1], y[1]), given)
    want, want_dense, kept = np.array(x[0]), np.array(dense[0]), np.ones(N)
    for k in range(N):
        if scale[k] == 0:
            continue
        spans = {}
        for axis, at in zip(axes, place[k].astype(float)):
            n = shape[axis - 1]
            length = max(1, math.floor(float(scale[k]) * n + 0.5))
            start = math.floor(at * (n - length + 1))
            spans[axis - 1] = slice(start, start + length)
        for out, second, lead in ((want, x[1], 0), (want_dense, dense[1], axes[0] - 1)):
            pasted = second[k]
            where = [slice(None)] * pasted.ndim
            for axis, span in spans.items():
                where[axis - lead] = span
                pasted = small(pasted, span.stop - span.start, axis - lead)
            out[(k, *where)] = pasted
        kept[k] -= math.prod(
            (span.stop - span.start) / shape[axis] for axis, span in spans.items()
        )
    np.testing.assert_array_equal(got_x, want)
    np.testing.assert_array_equal(got["dense"], want_dense)
    want = blend(one_hot(IDS[0], C), one_hot(IDS[1], C), kept)
    np.testing.assert_allclose(got["id"], want, atol=1e-6)


def test_resizemix_resizes_the_weights_of_what_it_resizes():
    """Those of frames, and not those of as many tasks."""
    t = 8
    x, flags = pair(t, 2), pair(t, 1)
    frames, tasks = pair(t, seed=5), pair(t + 1, seed=6)
    mixer = tfmixup.ResizeMix(axes=(1,))
    given = tfmixup.ResizeMixParams(tf.fill([N], 0.5), tf.zeros([N, 1]))
    first, second = (
        (x[k], {"flags": flags[k], "tasks": tasks[k]},
         {"flags": frames[k], "tasks": tasks[k] + 1})
        for k in range(2)
    )  # fmt: skip
    _, _, w = mixer.apply(first, second, given)
    want = np.concatenate([small(frames[1], 4, 1), frames[0][:, 4:]], axis=1)
    np.testing.assert_array_equal(w["flags"], want)
    want = blend(tasks[0] + 1, tasks[1] + 1, np.full(N, 0.5))
    np.testing.assert_allclose(w["tasks"], want, rtol=1e-6)


# Pipelines --------------------------------------------------------------------------


def signals(lengths):
    """Features in which every element tells its example, and class ids."""
    for k, length in enumerate(lengths):
        yield np.full([length, 2], k, "f"), (np.full([length, 1], k, "f"), k)


def stacked(n, length):
    x, y = zip(*signals([length] * n))
    return np.stack(x), tuple(map(np.stack, zip(*y)))


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("route", [*ROUTES, "from_tensors"])
def test_pipelines_count_their_elements(route, unknown):
    n, t = 8, 10
    mixer = tfmixup.CutMix(axes=(1,), num_classes=n, targets="blend")
    dataset = tf.data.Dataset.from_tensor_slices(stacked(n, t))
    if unknown:
        label = dataset.element_spec[1][1]
        spec = tf.TensorSpec([None, 2]), (tf.TensorSpec([None, 1]), label)
        dataset = tf.data.Dataset.from_generator(
            lambda: signals([t] * n), output_signature=spec
        )
    if route == "from_tensors":
        got = tfmixup.from_tensors(stacked(n, t), mixer, 4, seed=1)
    else:
        got = mixed(route, dataset, mixer, 4)
        assert got.element_spec[0].shape[1] == (None if unknown else t)
    seen = 0
    for x, (frames, label) in got.as_numpy_iterator():
        np.testing.assert_array_equal(frames[..., 0], x[..., 0])
        want = np.stack(
            [np.bincount(row.astype(int), minlength=n) for row in x[..., 0]]
        )
        np.testing.assert_allclose(label, want / t, atol=1e-6)
        seen += np.sum((label > 0).sum(axis=1) == 2)
    assert seen > 2


@pytest.mark.parametrize("per", ["batch", "example"])
def test_choice_and_off(per):
    x, (frames, ids) = stacked(8, 10)
    options = {"num_classes": 8}
    mixers = [tfmixup.MixUp(1.0, **options), tfmixup.CutMix(axes=(1,), **options)]
    choice = tfmixup.RandomChoice(mixers, per=per)
    kinds = set()
    for seed in range(8):
        got, (flags, label) = choice(x, (frames, ids), seed=[seed, 1])
        np.testing.assert_allclose(flags[..., 0], got[..., 0], atol=1e-5)
        want = np.einsum("nc,c->n", label, np.arange(8.0))
        np.testing.assert_allclose(np.mean(got, axis=(1, 2)), want, atol=1e-4)
        kinds.add(bool(np.all(got == np.round(got))))
    assert kinds == ({True, False} if per == "batch" else {False})
    for mixer in (choice, mixers[1]):
        got, (flags, label) = mixer.off()(x, (frames, ids))
        np.testing.assert_array_equal(got, x)
        np.testing.assert_array_equal(flags, frames)
        np.testing.assert_array_equal(label, np.eye(8))


@pytest.mark.parametrize("kind", [tfmixup.CutMix, tfmixup.ResizeMix])
def test_sizes_that_no_spec_tells_are_checked(kind):
    spec = [tf.TensorSpec([None] * 3), tf.TensorSpec([None, None, 1])]
    mixer = kind(axes=(1,))
    call = tf.function(lambda *e: mixer(*e), input_signature=spec, autograph=False)
    call(tf.zeros([N, 5, 2]), tf.zeros([N, 5, 1]))
    message = f"{mixer.name}: images, masks and weights of pixels must have one size"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(tf.zeros([N, 5, 2]), tf.zeros([N, 6, 1]))


def checked(*shapes, static):
    """Compares the sizes of an image, a mask and weights, and counts comparisons."""
    given = [tf.zeros(shape, tf.uint8) for shape in shapes]
    known = [tensor.shape if static else [None] * tensor.shape.rank for tensor in given]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8) for shape in known])
    def check(image, mask, weights):
        targets = {"label": tf.zeros([2, 10]), "mask": mask}
        operations = tfmixup.CutMix().check_values(Parts(image, targets, weights))
        with tf.control_dependencies(operations):
            return tf.constant(len(operations))

    return int(check(*given))


def test_sizes_of_images_masks_and_weights():
    image, mask, weights = [2, 7, 5, 3], [2, 7, 5], [2, 7, 5, 1]
    assert checked(image, mask, weights, static=True) == 0
    assert checked(image, mask, weights, static=False) == 1
    assert checked([2, 4, 7, 5, 3], [2, 4, 7, 5], [2, 4, 7, 5], static=False) == 1
    message = "CutMix: images, masks and weights of pixels must have one size along"
    for other in ((image, [2, 5, 7], weights), (image, mask, [2, 7, 6, 1])):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            checked(*other, static=False)


# Refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tfmixup.CutMix, tfmixup.ResizeMix, tfmixup.Mosaic])
@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        (1, TypeError, r"must be a tuple of integers, got 1. Write axes=\(1,\)"),
        ("hw", TypeError, "must be a tuple of integers, got 'hw'"),
        ((1.0,), TypeError, r"must be a tuple of integers, got \(1.0,\)"),
        ((True,), TypeError, r"must be a tuple of integers, got \(True,\)"),
        ((), ValueError, r"must be ascending and at least 1, got \(\)"),
        (
            (0, 1),
            ValueError,
            r"must be .* at least 1, got \(0, 1\).*batch, which is ax",
        ),
        ([-2, -1], ValueError, r"must be .* at least 1, got \(-2, -1\)"),
        ((3, 2), ValueError, r"must be ascending .*, got \(3, 2\)"),
        ((2, 2), ValueError, r"must be ascending .*, got \(2, 2\)"),
    ],
)
def test_what_axes_cannot_be(kind, axes, error, message):
    with pytest.raises(error, match=f"^tfmixup.{kind.__name__}: axes {message}"):
        kind(axes=axes)


def test_axes_are_a_tuple_of_integers():
    mixer = tfmixup.CutMix(axes=[np.int64(2), 3])
    assert mixer == tfmixup.CutMix(axes=(2, 3))
    assert repr(mixer) == "CutMix(alpha=1.0, axes=(2, 3))"


def refused(mixer, element, message):
    """Of an element, or of the spec of one."""
    if isinstance(element[0], tf.TensorSpec):
        batches = tf.data.Dataset.from_generator(list, output_signature=element)
    else:
        batches = tf.data.Dataset.from_tensors(element)
    with pytest.raises(ValueError, match=f"(?s)^tfmixup.in_batch: .*{message}"):
        batches.apply(tfmixup.in_batch(mixer))


def zeros(*shape, dtype="float32"):
    return tf.zeros([N, *shape], dtype)


Y = zeros(C)
FIRST = r"looks like channels first. Write axes=\({}\) if its last .*axes=\({}\) if"


@pytest.mark.parametrize("kind", [tfmixup.CutMix, tfmixup.ResizeMix])
@pytest.mark.parametrize(
    ("shape", "write"),
    [
        ((3, 32, 48), ("2, 3", "1, 2")),
        ((1, 28, 28), ("2, 3", "1, 2")),
        ((8, 3, 32, 48), ("3, 4", "2, 3")),
        ((3, 8, 32, 48), ("3, 4", "2, 3")),
    ],
)
def test_channels_first_is_asked_for(kind, shape, write):
    refused(kind(), (zeros(*shape), Y), FIRST.format(*write))
    unknown = tf.TensorSpec([N, *[n if n < 5 else None for n in shape]])
    refused(kind(), (unknown, tf.TensorSpec([N, C])), FIRST.format(*write))


@pytest.mark.parametrize("shape", [(3, 32, 4), (1, 9, 1), (32, 48, 64), (3, 9, 32, 3)])
def test_channels_last_is_not_taken_for_first(shape):
    assert tfmixup.CutMix()(zeros(*shape), Y)[0].shape == [N, *shape]


def test_the_image_data_format_of_keras():
    x, message = zeros(8, 9, 3), r"'channels_first'. Write axes=\(2, 3\) if .*\(1, 2\)"
    keras.config.set_image_data_format("channels_first")
    try:
        for mixer in (tfmixup.CutMix(), tfmixup.ResizeMix(), tfmixup.CutMix().off()):
            refused(mixer, (x, Y), message)
        assert tfmixup.CutMix(axes=(1, 2))(x, Y)[0].shape == x.shape
        assert tfmixup.MixUp()(x, Y)[0].shape == x.shape
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_centre_for_another_number_of_axes():
    message = r"params.centre must have shape \(6, 1\), .* got \(6, 2\)"
    with pytest.raises(ValueError, match=message):
        tfmixup.CutMix(axes=(1,)).apply(
            (zeros(8, 5), Y), (zeros(8, 5), Y), params((1, 2))
        )


SERIES, IMAGE = zeros(8, 5), zeros(3, 8, 12)
TIME, CHANNELS = tfmixup.CutMix(axes=(1,)), tfmixup.CutMix(axes=(2, 3))
ROW = "may have one entry for each position .*or be a label of the whole example. For "


@pytest.mark.parametrize(
    ("mixer", "element", "message"),
    [
        (CHANNELS, (SERIES, Y), r"axes=\(2, 3\) are not all there in float32\("),
        (TIME, ((SERIES, zeros(9, 5)), Y), r"they differ along \(1,\)"),
        (TIME, (SERIES, zeros(8)), ROW + r"one entry.*y\[..., tf.newaxis\].*num_cl"),
        (tfmixup.CutMix(axes=(1,), targets="pair", num_classes=C),
         (zeros(8, 5), zeros(8, dtype="int32")), "targets='pair' has one λ for the "),
        (tfmixup.CutMix(axes=(1,), targets="pair"), (SERIES, zeros(8, dtype="int32")),
         ROW + "one class id .*num_classes.*Pad sequences"),
        (TIME, (SERIES, zeros(7, 2)), r"have the sizes of axes \(1,\) there or direct"),
        (TIME, (SERIES, zeros(4, 2)), r"into targets of .* got float32\(6, 4, 2\)"),
        (CHANNELS, (IMAGE, zeros(12, 8)), "or all of them divided by one whole "),
        (CHANNELS, (IMAGE, zeros(4, 3)), r"divided .*got float32\(6, 4, 3\)"),
        (CHANNELS, (zeros(3, 8, 8), zeros(8, 8, 8)),
         r"axes of the box may be \(2, 3\) or \(1, 2\) of the target .*ensure_shape"),
        (tfmixup.CutMix(axes=(2, 3), targets="pair"), (IMAGE, zeros(8, 12)),
         "targets='pair' has one λ for the whole target, but CutMix takes every pix"),
        (tfmixup.CutMix(targets="pair"), (zeros(8, 12, 3), zeros(4, 6)),
         "targets='pair' has one λ for the whole target"),
        (tfmixup.CutMix(num_classes=C, integer_masks=True),
         (zeros(8, 12, 3), zeros(4, 6, dtype="int32")),
         "has one entry for 2 of the features .*integer_masks=True cannot keep"),
        (tfmixup.ResizeMix(), (zeros(8, 12, 3), zeros(4, 6)),
         "has one entry for 2 of .*ResizeMix cannot resize what is in a part"),
    ],
)  # fmt: skip
def test_elements_that_are_refused(mixer, element, message):
    refused(mixer, element, message)


def test_a_row_of_unknown_length_is_refused_where_it_may_be_of_frames():
    series = tf.TensorSpec([N, None, 5])
    refused(TIME, (series, tf.TensorSpec([N, None])), ROW)
    # Of as many classes as are known, it is a label of the example.
    labels = tf.data.Dataset.from_generator(
        list, output_signature=(series, tf.TensorSpec([N, C]))
    )
    labels.apply(tfmixup.in_batch(TIME))
