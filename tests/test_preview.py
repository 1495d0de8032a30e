"""`python -m tfmixup preview`, mostly called as a function."""

import importlib
import os
import pathlib
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import tensorflow_datasets as tfds

import tfmixup
from tfmixup import command_line, preview, requirements

ROOT = pathlib.Path(__file__).parents[1]
MADE = {
    "MadePhotos": {
        "mask": tfds.features.LabeledImage(shape=(None, None, 1), labels=3),
        "photo": tfds.features.Image(shape=(None, None, 3)),
        "species": tfds.features.ClassLabel(names=["wren", "crow"]),
    },
    "MadeUnlabelled": {"image": tfds.features.Image(shape=(16, 24, 1))},
    "MadeSounds": {"audio": tfds.features.Tensor(shape=(50,), dtype=np.int64)},
}


class Made(tfds.core.GeneratorBasedBuilder):
    """A dataset of 12 examples of random numbers, with the features of `MADE`."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTRATION = True

    def _info(self):
        features = tfds.features.FeaturesDict(MADE[type(self).__name__])
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        draw = np.random.default_rng(0)
        for k in range(12):
            size = draw.integers(20, 60, 2)
            features = self.info.features.items()
            yield k, {key: self.value(feature, size, k) for key, feature in features}

    def value(self, feature, size, k):
        if isinstance(feature, tfds.features.ClassLabel):
            return k % 2
        shape = [length or size[d] for d, length in enumerate(feature.shape)]
        return np.random.default_rng(k).integers(0, 3, shape).astype(feature.np_dtype)


class MadePhotos(Made):
    """Images of many sizes."""


class MadeUnlabelled(Made):
    """Images without a class."""


class MadeSounds(Made):
    """No images."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with the made data sets, which TFDS reads by name."""
    folder = tmp_path_factory.mktemp("data")
    for builder in (MadePhotos, MadeUnlabelled, MadeSounds):
        builder(data_dir=folder).download_and_prepare()
    return str(folder)


@pytest.fixture
def run(data_dir, tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder: (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        try:
            data = [] if "--images" in argv else ["--data-dir", data_dir]
            code = preview.main(["preview", *data, *argv])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, which the command only saves."""
    kept = []
    draw = tfmixup.plot.batch

    def keep(*args, **kwargs):
        kept.append(draw(*args, **kwargs))
        return kept[-1]

    monkeypatch.setattr(tfmixup.plot, "batch", keep)
    return kept


def titles(figure):
    return [a.get_title().split("\n") for a in figure.axes if a.get_title()]


def test_the_digits_are_the_default(run, figures, tmp_path):
    code, out, _ = run()
    assert code == 0
    assert "Wrote mix.png: mixup, α = 0.2 on bundled_digits." in out
    assert matplotlib.image.imread(tmp_path / "mix.png").std() > 0.1
    lines = titles(figures[0])
    assert len(lines) == 8
    for lam, *label in lines:
        value = float(re.fullmatch(r"λ = (\d\.\d\d)", lam)[1])
        masses = [float(mass) for mass in re.findall(r"\d: (\d\.\d\d)", label[0])]
        assert sum(masses) == pytest.approx(1, abs=0.011)
        largest = max(value, 1 - value)
        assert masses[0] == 1 or masses[0] == pytest.approx(largest, abs=0.011)


def test_the_same_seed_gives_the_same_picture(run, figures):
    for seed in ("3", "3", "4"):
        assert run("--seed", seed)[0] == 0
    first, again, other = (titles(figure) for figure in figures)
    assert first == again != other


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--mixer", "cutmix"], "cutmix, α = 1 "),
        (["--mixer", "resizemix"], "resizemix on"),
        (["--alpha", "0"], "mixup, α = 0 "),
        (["--alpha", "8", "--split", "test[:20%]"], "mixup, α = 8 "),
    ],
)
def test_options(run, figures, options, told):
    code, out, err = run(*options, "--examples", "5")
    assert (code, told in out) == (0, True), err
    assert len(titles(figures[0])) == 5
    if options == ["--alpha", "0"]:
        assert all(lines[0] == "λ = 1.00" for lines in titles(figures[0]))


def test_mosaics_are_under_the_shares_of_their_images(run, figures):
    code, out, err = run("--mixer", "mosaic", "--examples", "6")
    assert (code, "mosaic on bundled_digits" in out) == (0, True), err
    lines = titles(figures[0])
    assert len(lines) == 6
    for label in lines:
        masses = re.findall(r"(?:\d|others): (\d\.\d\d)", " ".join(label))
        assert sum(map(float, masses)) == pytest.approx(1, abs=0.03)
    assert any(len(re.findall(":", " ".join(label))) > 2 for label in lines)
    assert run("--mixer", "mosaic", "--dataset", "made_unlabelled")[0] == 0
    assert titles(figures[1]) == []


@pytest.mark.parametrize(("size", "pixels"), [([], 128), (["--size", "40"], 40)])
def test_images_of_many_sizes_and_fewer_than_asked_for(run, figures, size, pixels):
    code, _, err = run("--dataset", "made_photos", *size, "--examples", "50")
    assert code == 0, err
    picture = figures[0].axes[0].get_images()[0].get_array()
    assert picture.shape == (pixels, pixels, 3)
    lines = titles(figures[0])
    assert len(lines) == 12
    assert {part[:4] for _, *label in lines for part in label} == {"wren", "crow"}


def test_small_images_are_enlarged_pixel_by_pixel(run, figures):
    assert run("--alpha", "0", "--size", "20")[0] == 0
    picture = np.asarray(figures[0].axes[0].get_images()[0].get_array())
    assert picture.shape[:2] == (20, 20)
    # The digits have 17 greys, and a blend of neighbouring pixels would have others.
    greys = np.rint(np.arange(17) * 255 / 16) / 255
    assert np.abs(picture[..., np.newaxis] - greys).min(axis=-1).max() < 1e-6


def test_images_without_a_class_show_lambda_alone(run, figures):
    code, _, err = run("--dataset", "made_unlabelled", "--mixer", "cutmix")
    assert code == 0, err
    assert figures[0].axes[0].get_images()[0].get_array().shape[:2] == (16, 24)
    assert all(len(lines) == 1 and "λ = " in lines[0] for lines in titles(figures[0]))


@pytest.mark.parametrize("classes", [["cat", "dog"], []])
def test_a_folder_of_images(run, figures, tmp_path, classes):
    for folder in classes or ["."]:
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for k in range(4):
            pixels = np.full([20, 30, 3], 40 * k, np.uint8)
            path = tmp_path / "photos" / folder / f"{k}.png"
            matplotlib.image.imsave(path, pixels)
    code, out, _ = run("--images", "photos", "--size", "16", "--examples", "4")
    assert code == 0
    assert out == "Wrote mix.png: mixup, α = 0.2 on photos.\n"
    shown = titles(figures[0])
    assert len(shown) == 4
    for lines in shown:
        assert lines[0].startswith("λ = ")
        words = set(re.findall("[a-z]+", " ".join(lines[1:])))
        assert words <= set(classes)
        assert bool(words) == bool(classes)


def save_images(folder, number):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(number):
        pixels = np.full([8, 8, 3], k % 256, np.uint8)
        matplotlib.image.imsave(folder / f"{k}.png", pixels)


def test_classes_of_a_folder_are_mixed_though_each_is_larger_than_the_buffer(
    run, figures, tmp_path
):
    for name in ("cat", "dog"):
        save_images(tmp_path / "photos" / name, 520)
    assert run("--images", "photos", "--size", "8")[0] == 0
    words = re.findall("cat|dog", str(titles(figures[0])))
    assert set(words) == {"cat", "dog"}  # 16 examples: one kind alone in 3e-5


def test_what_is_no_class_in_a_folder(run, figures, tmp_path):
    save_images(tmp_path / "photos" / "cat", 4)
    (tmp_path / "photos" / "empty").mkdir()
    save_images(tmp_path / "photos" / ".ipynb_checkpoints", 4)
    assert run("--images", "photos", "--size", "8", "--examples", "4")[0] == 0
    assert all(len(lines) == 1 for lines in titles(figures[0]))


def test_an_image_that_is_none(run, tmp_path):
    save_images(tmp_path / "photos", 3)
    (tmp_path / "photos" / "9.png").write_text("no image")
    code, _, err = run("--images", "photos", "--size", "8", "--examples", "4")
    assert code == 1
    assert err.startswith("python -m tfmixup preview: error: photos cannot be read: ")
    assert len(err.splitlines()) == 1


def test_a_folder_without_images(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("--images", "empty")
    assert code == 1
    assert "--images empty: No images found" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "no_such_set"], "no such dataset. Names are listed at"),
        (["--dataset", "made_sounds"], "no images to mix; its features are audio"),
        (["--split", "trian"], "Should be one of ['train', 'test']"),
        (["--split", "train[:x]"], "cannot be loaded"),
        (["--alpha", "1e-35"], "beyond what float32 can draw from"),
        (["--split", "train[:0]"], "--split train[:0]"),
    ],
)
def test_what_cannot_be_previewed(run, tmp_path, options, message):
    code, out, err = run(*options)
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("python -m tfmixup preview: error: ")
    assert message in last
    assert "Traceback" not in err
    assert "Wrote" not in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "nowhere/mix.png"], "there is no folder nowhere"),
        (["--out", "mix.txt"], "must end in .png, .pdf or .svg"),
        (["--mixer", "resizemix", "--alpha", "1"], "resizemix has none"),
        (["--mixer", "mosaic", "--alpha", "1"], "mosaic has none"),
        (["--images", "nowhere"], "--images nowhere: there is no such folder"),
        (["--images", ".", "--split", "test"], "--split and --data-dir are for"),
        (["--images", ".", "--dataset", "cifar10"], "not allowed with argument"),
        (["--alpha", "-1"], "-1 is not a number from 0 up"),
        (["--alpha", "much"], "argument --alpha"),
        (["--examples", "0"], "0 is not a whole number from 1 up"),
        (["--size", "2.5"], "argument --size"),
        (["--mixer", "blend"], "invalid choice: 'blend'"),
    ],
)
def test_arguments_that_cannot_be(run, options, message):
    code, _, err = run(*options)
    assert code == 2
    assert message in err


def test_a_data_set_that_fails_to_load_is_one_line(run, monkeypatch):
    from tfmixup import datasets

    def offline(*_, **__):
        raise OSError("cannot reach host\nand much more")

    monkeypatch.setattr(datasets, "load", offline)
    code, _, err = run()
    assert code == 1
    assert "cannot be loaded. OSError: cannot reach host\n" in err
    assert "much more" not in err


def test_without_tensorflow_datasets(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    code, _, err = run()
    assert code == 1
    assert requirements.install("examples") in err


@pytest.mark.slow
def test_from_a_shell(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tfmixup", "preview", "--help"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=300,
        encoding="utf-8",
    )
    assert done.returncode == 0
    options = ("dataset", "split", "data-dir", "mixer", "alpha", "examples", "size")
    for option in (*options, "seed", "out"):
        assert f"--{option}" in done.stdout
    assert "python -m tfmixup preview --mixer cutmix" in done.stdout


def test_a_wrong_argument_is_told_before_tensorflow_is_imported(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-m", "tfmixup", "preview", "--alpha", "-1"],
        cwd=tmp_path,  # which python -m puts in front of the path
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert done.stderr.endswith("--alpha: -1 is not a number from 0 up\n")


@pytest.mark.parametrize(
    ("flags", "arguments", "parsed"),
    [
        (["-m", "tfmixup"], ["--nonsense"], True),
        (["-X", "dev", "-mtfmixup"], ["--nonsense"], True),
        (["-m", "try_tfmixup"], ["--nonsense"], False),
        (["-m", "pkg.train_tfmixup"], [], False),
        (["-m", "pytest"], ["tfmixup"], False),
    ],
)
def test_only_our_own_command_is_parsed(monkeypatch, flags, arguments, parsed):
    monkeypatch.setattr(sys, "argv", ["-m", *arguments])
    monkeypatch.setattr(sys, "orig_argv", ["python", *flags, *arguments])
    if parsed:
        with pytest.raises(SystemExit):
            importlib.reload(command_line)
    else:
        importlib.reload(command_line)


def test_no_command_prints_help(capsys):
    with pytest.raises(SystemExit) as stop:
        preview.main([])
    assert stop.value.code == 0
    assert "preview" in capsys.readouterr().out
