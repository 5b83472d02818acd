"""The classifier: network, training, cache."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm.data.reader import open_split
from cdm.nn.classifier import classifier
from cdm_evaluate.classifier import cache
from cdm_evaluate.classifier.cache import obtain_classifier
from cdm_evaluate.classifier.config import PRESETS, ClassifierConfig, preset, preset_for
from cdm_evaluate.classifier.training import augmented, train_classifier

SMALL = ClassifierConfig(channels=(8,), epochs=6, batch_size=16, learning_rate=1e-2, shift=1)


def obtain(data: Path, config: ClassifierConfig = SMALL):
    """(classifier, the lines that were said)."""
    lines: list[str] = []
    with open_split(data, "train", (8,)) as train, open_split(data, "validation", (8,)) as other:
        return obtain_classifier(data, config, train, other, 8, lines.append), lines


def test_features_do_not_depend_on_the_rest_of_the_batch():
    net = classifier(channels=(8, 16), blocks=2, num_classes=5)
    params = jax.jit(net.init)(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (4, 16, 16, 3), minval=-1)
    apply = jax.jit(net.apply)
    features, logits = apply(params, images)
    assert features.shape == (4, 16)
    assert logits.shape == (4, 5)
    alone, _ = apply(params, images[2:3])
    np.testing.assert_allclose(alone[0], features[2], rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(features[0] - features[1]).max()) > 1e-3


def test_channels_must_fit_the_groups():
    with pytest.raises(ValueError, match=r"\(12,\): expected one or more multiples of 8"):
        classifier(channels=(12,), blocks=1, num_classes=2)


def test_augmentation_moves_each_image_by_its_own_shift():
    config = dataclasses.replace(SMALL, shift=2)
    column = jnp.arange(8.0)
    images = jnp.broadcast_to(
        (column[:, None] * 10 + column[None, :])[None, :, :, None], (64, 8, 8, 3)
    )
    moved = augmented(images, jax.random.key(0), config)
    middles = np.asarray(moved[:, 4, 4, 0])
    expected = {10 * (4 + dy) + 4 + dx for dy in range(-2, 3) for dx in range(-2, 3)}
    assert set(middles.tolist()) <= expected
    assert len(set(middles.tolist())) > 10
    # Inside the edges a shift changes nothing but the place: neighbours keep their differences.
    np.testing.assert_array_equal(moved[:, 3, 4] - moved[:, 3, 3], jnp.ones((64, 3)))


def test_flips_only_where_they_are_asked_for():
    images = jnp.broadcast_to(jnp.arange(8.0)[None, None, :, None], (64, 8, 8, 3))
    still = dataclasses.replace(SMALL, shift=0)
    np.testing.assert_array_equal(augmented(images, jax.random.key(0), still), images)
    turned = augmented(images, jax.random.key(0), dataclasses.replace(still, flip=True))
    mirrored = np.asarray(turned[:, 0, 0, 0] == 7)
    assert 10 < mirrored.sum() < 54
    np.testing.assert_array_equal(turned[mirrored], images[mirrored][:, :, ::-1])


def test_presets():
    assert preset_for("glyphs") == "glyphs"
    assert preset_for("imagenet") == "photographs"
    assert not any(config.flip for config in PRESETS.values())
    with pytest.raises(ValueError, match="did you mean glyphs"):
        preset("glyph")
    with pytest.raises(ValueError, match="at least"):
        ClassifierConfig(epochs=0)


@pytest.fixture(scope="module")
def trained(make, tmp_path_factory: pytest.TempPathFactory):
    """(data with a cached classifier, the classifier, the lines that were said)."""
    data = make.data(tmp_path_factory.mktemp("trained") / "data")
    return data, *obtain(data)


def test_it_learns_and_says_how_well(trained):
    data, classifier_of_data, lines = trained
    assert "none cached" in lines[0]
    assert f"epoch {SMALL.epochs} of {SMALL.epochs}" in lines[-1]
    assert classifier_of_data.validation_accuracy > 0.95
    described = json.loads((data / "classifiers" / "8" / "classifier.json").read_text())
    assert described["validation_accuracy"] == classifier_of_data.validation_accuracy


def test_the_cached_one_is_the_trained_one(trained):
    data, first, _ = trained
    again, lines = obtain(data)
    assert again.reused
    assert len(lines) == 1
    assert "reused" in lines[0]
    assert jax.tree.structure(first.params) == jax.tree.structure(again.params)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, first.params, again.params)))


def test_training_is_a_function_of_settings_and_data(trained):
    data, first, _ = trained
    with open_split(data, "train", (8,)) as train, open_split(data, "validation", (8,)) as other:
        params, accuracy = train_classifier(SMALL, train, other, 8, lambda _: None)
    assert accuracy == first.validation_accuracy
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, first.params, params)))


@pytest.mark.parametrize("cause", ["settings", "data", "parameters", "archive", "description"])
def test_what_does_not_match_is_trained_again_with_the_reason(
    trained, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
):
    data = tmp_path / "data"
    shutil.copytree(trained[0], data)
    folder = data / "classifiers" / "8"
    config, reason = SMALL, "damaged"
    if cause == "settings":
        config, reason = dataclasses.replace(config, flip=True), "other data or settings"
    elif cause == "data":
        make.data(data, seed=5)
        reason = "other data or settings"
    elif cause == "parameters":
        with np.load(folder / "classifier.npz") as stored:
            arrays = {name: stored[name] + 1 for name in stored.files}
        np.savez(folder / "classifier.npz", **arrays)
    elif cause == "archive":
        (folder / "classifier.npz").write_bytes(b"nothing")
    else:
        (folder / "classifier.json").write_text("{")
    # What training does is tested above; here it matters only whether it is asked for.
    again = (jax.tree.map(lambda x: x + 1, trained[1].params), 0.5)
    monkeypatch.setattr(cache, "train_classifier", lambda *_: again)
    obtained, lines = obtain(data, config)
    assert not obtained.reused
    assert reason in lines[0]
    kept, _ = obtain(data, config)
    assert kept.reused
    assert kept.validation_accuracy == 0.5


def test_data_without_classes_are_refused(tmp_path: Path, make):
    data = make.data(tmp_path / "data", names=("all",))
    with pytest.raises(ValueError, match="has no classes"):
        obtain(data)
