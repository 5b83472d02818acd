"""Samplers against copied end points, a closed form, and their own promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm import samplers
from cdm.config import AugmentConfig, DiffusionConfig, ModelConfig, StageConfig
from cdm.sampling import augment_low_res, image_keys, sample_stage
from cdm.schedules import from_betas, linear_betas, make_schedule, respace
from cdm.stage import make_stage


def test_ddim_ends_where_diffusers_ends(golden):
    """20 steps on the toy network eps(x, t) = 0.6 x t / (t + 200), t counted from 0.

    Clipping is compared with guided-diffusion in test_diffusion_golden.py: diffusers leaves the
    noise as predicted where x_0 was clipped, guided-diffusion and we make the two agree again.
    """
    file = golden("samplers_toy.npz")
    trained = from_betas(linear_betas(1000, 1e-4, 0.02))
    schedule = respace(trained, np.sort(file["ddim20_eta0_timesteps"]) + 1)
    time = jnp.asarray(schedule.time - 1, jnp.float32)
    x = jnp.asarray(file["x_T"].transpose(0, 2, 3, 1), jnp.float32)
    keys = jax.random.split(jax.random.key(0), len(x))
    end = samplers.ddim(
        lambda x, t: (0.6 * x * time[t] / (time[t] + 200), None), schedule, x, keys, clip=False
    )
    expected = file["ddim20_eta0"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(end, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("variance", "tolerance"), [("fixed_small", 0.02), ("fixed_large", 0.02)])
def test_ancestral_sampling_of_a_gaussian(variance, tolerance):
    """Data N(m, d^2): the exact noise prediction is known, and so is what must come out."""
    m, d = 0.3, 0.2
    schedule = make_schedule("cosine", 400)
    a = jnp.asarray(schedule.alpha_bar, jnp.float32)

    def predict(x, t):
        spread = a[t] * d**2 + 1.0 - a[t]
        return jnp.sqrt(1.0 - a[t]) * (x - jnp.sqrt(a[t]) * m) / spread, None

    x_T = jax.random.normal(jax.random.key(0), (32, 16, 16, 3))
    keys = jax.random.split(jax.random.key(1), 32)
    run = jax.jit(
        lambda x, k: samplers.ancestral(predict, schedule, x, k, variance=variance, clip=False)
    )
    x = np.asarray(run(x_T, keys))
    assert x.mean() == pytest.approx(m, abs=0.005)
    assert x.std() == pytest.approx(d, abs=tolerance)


def test_stopping_gives_the_marginal_at_s():
    """Truncated augmentation hands over z_s ~ N(sqrt(a_s) m, a_s d^2 + 1 - a_s)."""
    m, d, s = 0.3, 0.2, 120
    schedule, stop = samplers.sampling_schedule(make_schedule("cosine", 400), 100, stop=s)
    assert schedule.time[stop] == s
    a = jnp.asarray(schedule.alpha_bar, jnp.float32)

    def predict(x, t):
        return jnp.sqrt(1.0 - a[t]) * (x - jnp.sqrt(a[t]) * m) / (a[t] * d**2 + 1.0 - a[t]), None

    x_T = jax.random.normal(jax.random.key(0), (32, 16, 16, 3))
    keys = jax.random.split(jax.random.key(1), 32)
    z_s = np.asarray(
        samplers.ancestral(
            predict, schedule, x_T, keys, variance="fixed_small", stop=stop, clip=False
        )
    )
    a_s = float(a[stop])
    assert z_s.mean() == pytest.approx(np.sqrt(a_s) * m, abs=0.01)
    assert z_s.std() == pytest.approx(np.sqrt(a_s * d**2 + 1 - a_s), rel=0.03)


def test_sampling_schedule_visits_the_stop():
    trained = make_schedule("cosine", 1000)
    schedule, stop = samplers.sampling_schedule(trained, 50, stop=137)
    assert schedule.timesteps == 51
    assert schedule.time[stop] == 137
    assert samplers.sampling_schedule(trained, None, stop=137) == (trained, 137)
    with pytest.raises(ValueError, match="cannot stop at step 1000"):
        samplers.sampling_schedule(trained, 50, stop=1000)
    with pytest.raises(ValueError, match="cannot take 1001 sampling steps"):
        samplers.sampling_schedule(trained, 1001)


TINY = StageConfig(
    model=ModelConfig(
        resolution=8,
        num_classes=3,
        channels=8,
        channel_multipliers=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(4,),
        num_heads=2,
    ),
    diffusion=DiffusionConfig(timesteps=100, variance="learned", loss="hybrid"),
)
TINY_SR = dataclasses.replace(
    TINY,
    model=dataclasses.replace(TINY.model, resolution=16, low_res=8, attention_resolutions=()),
    augment=AugmentConfig(conditioning="gaussian", timesteps=100),
)


def random_params(stage, seed=0):
    """Parameters of which none is zero, so that nothing is cut off at a zero-initialised layer."""
    abstract = jax.eval_shape(stage.network.init, jax.random.key(0))
    leaves, tree = jax.tree.flatten(abstract)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return tree.unflatten(
        [0.1 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    )


def test_images_do_not_depend_on_the_batch():
    stage = make_stage(TINY)
    params = random_params(stage)
    labels = np.arange(16) % 3
    run = jax.jit(lambda i, y: sample_stage(stage, params, image_keys(5, i, 8), y, steps=20).x_0)

    def make(start, size):
        rows = np.arange(start, start + size)
        return np.asarray(run(jnp.asarray(rows), jnp.asarray(labels[rows])))

    whole = make(0, 16)
    assert np.abs(whole[0] - whole[3]).max() > 0.1  # of the same class, but another image
    for size in (1, 4):
        parts = np.concatenate([make(start, size) for start in range(0, 16, size)])
        np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_branching_leaves_the_chain_as_it_is():
    """x_0 is the same whether or not z_s was taken out, and z_s is what a run to s gives."""
    stage = make_stage(TINY)
    params, labels, keys = random_params(stage), jnp.arange(2), image_keys(1, range(2), 8)
    plain = sample_stage(stage, params, keys, labels)
    branched = sample_stage(stage, params, keys, labels, branch=40)
    assert plain.x_branch is None
    np.testing.assert_allclose(branched.x_0, plain.x_0, atol=1e-5)
    assert float(jnp.abs(branched.x_branch - branched.x_0).max()) > 0.1


def test_noise_level_reaches_the_network():
    """An SR stage gives other images for another s on the same input, and the same for s = 0."""
    stage = make_stage(TINY_SR)
    params, labels, keys = random_params(stage), jnp.arange(2), image_keys(1, range(2), 16)
    z = jax.random.uniform(jax.random.key(3), (2, 8, 8, 3), minval=-1.0)
    run = lambda s: sample_stage(stage, params, keys, labels, z=z, s=s, steps=5).x_0  # noqa: E731
    assert float(jnp.abs(run(0) - run(50)).max()) > 1e-3
    np.testing.assert_array_equal(augment_low_res(stage, keys, z, jnp.int32(0)), z)
    z_s = augment_low_res(stage, keys, z, jnp.int32(99))
    assert float(jnp.abs(z_s - z).mean()) > 0.3


def test_unknown_sampler_is_named():
    with pytest.raises(ValueError, match="unknown sampler 'ddimm'; did you mean ddim"):
        samplers.sampler("ddimm")
