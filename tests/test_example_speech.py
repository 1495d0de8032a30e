"""The example on sounds: what it makes, what it trains on, and a tiny run."""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_datasets")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def speech():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import speech as module

        yield module
    finally:
        sys.path.remove(str(EXAMPLES))


def test_made_sounds_are_pcm_of_differing_length(speech):
    made = list(speech.made_sounds.dataset(16, seed=1))
    assert [int(label) for _, label in made] == [*range(8), *range(8)]
    lengths = {len(wave) for wave, _ in made}
    assert len(lengths) > 8
    assert max(lengths) <= speech.made_sounds.LENGTH
    for wave, _ in made:
        assert wave.dtype == tf.int64
        assert 100 < np.abs(wave).max() < 2**15
    again = speech.made_sounds.dataset(16, seed=1)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(made, again))


def test_a_tone_is_a_line_of_the_spectrogram(speech):
    time = np.arange(4000) / 8000
    wave = 2**14 * np.sin(2 * np.pi * 1000 * time)[None].astype(np.float32)
    sounds = speech.load(speech.parse(["--examples", "8", "--test-examples", "8"]))
    picture = speech.log_spectrogram(tf.constant(wave), sounds)[0, :, :, 0]
    # 256 samples a window: bins of 31.25 Hz.
    assert set(np.argmax(picture, axis=1)) == {32}


@pytest.mark.slow
def test_a_tiny_run_prints_a_table(speech, capsys):
    small = ["--examples", "32", "--test-examples", "16", "--epochs", "1"]
    errors = speech.main([*small, "--batch-size", "8", "--seeds", "1"])
    assert list(errors) == ["no mixup", "mixup (alpha=0.2)", "between-class"]
    assert all(0 <= error <= 1 for found in errors.values() for error in found)
    printed = capsys.readouterr().out
    assert "no recordings, no speech" in printed
    for name, (error,) in errors.items():
        assert f"{name:<18}  {error:10.1%}" in printed


def test_help_names_the_data_sets(speech, capsys):
    with pytest.raises(SystemExit, match="0"):
        speech.parse(["--help"])
    assert "speech_commands" in capsys.readouterr().out
