"""Algorithm 1: what reaches the network, how t and s are drawn, and what the loss is of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm import diffusion
from cdm.config import AugmentConfig, DiffusionConfig, ModelConfig, StageConfig
from cdm.nn.functional import Network
from cdm.objective import continuous_root_alpha_bar, stage_loss
from cdm.stage import Stage, corrupt_low_res, make_stage
from cdm_train_sr.task import augment_conditioning

from .tiny import compiled_once


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with compiled_once(tmp_path_factory.getbasetemp() / "programs"):
        yield


T, S = 20, 10
CONFIG = StageConfig(
    model=ModelConfig(
        resolution=8,
        low_res=4,
        channels=8,
        channel_multipliers=(1,),
        attention_resolutions=(),
        num_heads=1,
    ),
    diffusion=DiffusionConfig(timesteps=T, variance="fixed_small", loss="simple"),
    augment=AugmentConfig(conditioning="gaussian", timesteps=S),
)


def configured(**diffusion_settings) -> StageConfig:
    changed = dataclasses.replace(CONFIG.diffusion, **diffusion_settings)
    return dataclasses.replace(CONFIG, diffusion=changed)


class Recorder:
    """Stands in for the network: keeps what it is given, answers with `answer(x_t, time)`."""

    def __init__(self, config: StageConfig, answer=None):
        self.calls: list[dict] = []
        self.answer = answer or (lambda x_t, time: jnp.zeros_like(x_t))
        self.stage: Stage = dataclasses.replace(
            make_stage(config), network=Network(lambda key: {}, self.apply)
        )

    def apply(self, params, x_t, time, **inputs):
        self.calls.append({"x_t": x_t, "time": time, **inputs})
        return self.answer(x_t, time)


def images(n: int, size: int, seed: int) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (n, size, size, 3), minval=-1.0)


def sr_batch(recorder: Recorder, n: int, key: jax.Array):
    """One batch through the lines 10 to 14: (losses, places, x_0, z_0, z, s)."""
    x_0, z_0 = images(n, 8, 1), images(n, 4, 2)
    z, s = augment_conditioning(recorder.stage, jax.random.fold_in(key, 1), z_0)
    losses, place = stage_loss(
        recorder.stage, {}, jax.random.fold_in(key, 2), x_0, jnp.arange(n) % 10, z, s
    )
    return losses, place, x_0, z_0, z, s


def test_the_network_is_given_noisy_images_small_conditions_and_their_levels():
    recorder = Recorder(CONFIG)
    _, place, x_0, z_0, z, s = sr_batch(recorder, 64, jax.random.key(0))
    (call,) = recorder.calls
    assert call["x_t"].shape == (64, 8, 8, 3)
    # Noise is added at the low resolution; upsampling is the network's.
    assert call["low_res"].shape == (64, 4, 4, 3)
    np.testing.assert_array_equal(call["low_res"], z)
    np.testing.assert_allclose(call["level"], 1000.0 * s / S, rtol=1e-6)
    np.testing.assert_array_equal(call["label"], np.arange(64) % 10)
    t = np.rint(np.asarray(place) * T)
    np.testing.assert_allclose(call["time"], 1000.0 * t / T, rtol=1e-6)
    assert call["dropout_key"] is None

    # z = sqrt(a_s) z_0 + sqrt(1 - a_s) noise with the s of each image: what is left is standard.
    a = recorder.stage.augment_schedule.alpha_bar[np.asarray(s)][:, None, None, None]
    noise = (np.asarray(z) - np.sqrt(a) * np.asarray(z_0)) / np.sqrt(1.0 - a)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    expected = corrupt_low_res(recorder.stage, z_0, s, jnp.asarray(noise, jnp.float32))
    np.testing.assert_allclose(z, expected, atol=1e-5)

    # And x_t likewise of x_0 by t, with other noise.
    a = recorder.stage.schedule.alpha_bar[t.astype(int)][:, None, None, None]
    eps = (np.asarray(call["x_t"]) - np.sqrt(a) * np.asarray(x_0)) / np.sqrt(1.0 - a)
    assert eps.std() == pytest.approx(1.0, abs=0.05)
    correlation = np.corrcoef(eps[:, ::2, ::2].ravel(), noise.ravel())[0, 1]
    assert abs(correlation) < 0.05


def test_t_and_s_are_uniform_and_independent():
    """Chi-squared over all T·S cells: 199 degrees of freedom, so 300 has p < 1e-5."""
    recorder = Recorder(CONFIG)
    count = np.zeros((T, S))
    n, batches = 256, 80
    for i in range(batches):
        _, place, _, _, _, s = sr_batch(recorder, n, jax.random.fold_in(jax.random.key(5), i))
        t = np.rint(np.asarray(place) * T).astype(int)
        np.add.at(count, (t - 1, np.asarray(s) - 1), 1)
    assert count.sum() == batches * n
    expected = batches * n / (T * S)
    assert ((count - expected) ** 2 / expected).sum() < 300.0
    # Each alone is stricter: 19 and 9 degrees of freedom.
    by_t, by_s = count.sum(axis=1), count.sum(axis=0)
    assert ((by_t - batches * n / T) ** 2 / (batches * n / T)).sum() < 50.0
    assert ((by_s - batches * n / S) ** 2 / (batches * n / S)).sum() < 35.0


def test_the_key_decides_alone():
    recorder = Recorder(CONFIG)
    first, again, other = (sr_batch(recorder, 64, jax.random.key(k))[0] for k in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_a_perfect_network_has_no_loss(prediction):
    """Of one image, the same throughout the batch, x_t tells the noise."""
    config = configured(prediction=prediction)
    x_0 = images(1, 8, 1)
    schedule = make_stage(config).schedule

    def answer(x_t, time):
        t = jnp.rint(time / 1000.0 * T).astype(jnp.int32)
        root = diffusion.root_alpha_bar(schedule, t)
        eps = (x_t - root * x_0) / jnp.sqrt(1.0 - root**2)
        kinds = {"eps": eps, "x_0": jnp.broadcast_to(x_0, x_t.shape)}
        kinds["v"] = root * eps - jnp.sqrt(1.0 - root**2) * x_0
        return kinds[prediction]

    recorder = Recorder(config, answer)
    batch = jnp.broadcast_to(x_0, (64, 8, 8, 3))
    label, z, s = jnp.zeros(64, jnp.int32), images(64, 4, 2), jnp.ones(64, jnp.int32)
    losses, _ = stage_loss(recorder.stage, {}, jax.random.key(0), batch, label, z, s)
    np.testing.assert_allclose(losses, 0.0, atol=1e-8)


def test_a_network_that_says_nothing_has_the_loss_of_the_noise():
    losses, *_ = sr_batch(Recorder(CONFIG), 256, jax.random.key(0))
    assert float(losses.mean()) == pytest.approx(1.0, abs=0.02)


def test_the_hybrid_loss_adds_a_term_that_only_the_variance_feels():
    recorder = Recorder(configured(variance="learned", loss="hybrid"))
    x_0, label, z = images(64, 8, 1), jnp.zeros(64, jnp.int32), images(64, 4, 2)
    s = jnp.ones(64, jnp.int32)

    def mean_loss(offset, config):
        recorder = Recorder(
            config,
            lambda x_t, time: jnp.concatenate(
                [jnp.broadcast_to(offset[k], x_t.shape) for k in range(2 if learned else 1)], -1
            ),
        )
        return stage_loss(recorder.stage, {}, jax.random.key(0), x_0, label, z, s)[0].mean()

    offset = jnp.array([0.1, 0.2])
    learned = True
    hybrid, hybrid_grad = jax.value_and_grad(mean_loss)(offset, recorder.stage.config)
    learned = False
    simple, simple_grad = jax.value_and_grad(mean_loss)(offset, CONFIG)
    assert float(hybrid) > float(simple)
    assert float(hybrid_grad[0]) == pytest.approx(float(simple_grad[0]), rel=1e-5)
    assert float(hybrid_grad[1]) != 0.0
    assert float(simple_grad[1]) == 0.0


def test_noise_levels_between_the_steps():
    """Conditioned on alpha_bar, the level is uniform between those of t - 1 and t."""
    recorder = Recorder(configured(noise_conditioning="alpha_bar"))
    table = np.sqrt(recorder.stage.schedule.alpha_bar)
    t = jnp.full(2000, 7)
    root = continuous_root_alpha_bar(recorder.stage, jax.random.key(0), t)
    assert root.shape == (2000, 1, 1, 1)
    fraction = (np.asarray(root).ravel() - table[7]) / (table[6] - table[7])
    assert fraction.min() >= -1e-5
    assert fraction.max() <= 1.0 + 1e-5
    assert fraction.mean() == pytest.approx(0.5, abs=0.03)
    assert fraction.std() == pytest.approx(np.sqrt(1 / 12), abs=0.02)

    _, place, *_ = sr_batch(recorder, 64, jax.random.key(0))
    t = np.rint(np.asarray(place) * T).astype(int)
    level = np.asarray(recorder.calls[-1]["time"]) / 1000.0
    assert (level >= table[t] - 1e-6).all()
    assert (level <= table[t - 1] + 1e-6).all()


def test_dropout_has_a_key_only_where_there_is_dropout():
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, dropout=0.1))
    recorder = Recorder(config)
    for key in (0, 0, 1):
        sr_batch(recorder, 64, jax.random.key(key))
    a, b, c = (np.asarray(jax.random.key_data(call["dropout_key"])) for call in recorder.calls)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("conditioning", ["none", "blur"])
def test_without_gaussian_augmentation_there_is_no_level(conditioning):
    augment = AugmentConfig(conditioning=conditioning, blur_probability=1.0)
    recorder = Recorder(dataclasses.replace(CONFIG, augment=augment))
    *_, z_0, z, s = sr_batch(recorder, 64, jax.random.key(0))
    assert s is None
    assert recorder.calls[0]["level"] is None
    assert np.array_equal(z, z_0) == (conditioning == "none")
    assert z.shape == z_0.shape
