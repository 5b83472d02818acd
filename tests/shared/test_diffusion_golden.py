"""Schedules, steps and losses against figures from guided-diffusion (tests/golden/README.md)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm import diffusion, losses, samplers
from cdm.schedules import (
    cosine_betas,
    from_betas,
    linear_betas,
    make_schedule,
    respace,
    strided_steps,
)

CASES = {
    "cosine4000_learned_hybrid": (cosine_betas(4000), "learned"),
    "linear2000_fixed_large_simple": (linear_betas(2000), "fixed_large"),
    "cosine1000_fixed_small_simple": (cosine_betas(1000), "fixed_small"),
}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


class Case:
    """One file, its images channels-last, its steps counted from 1."""

    def __init__(self, golden, name):
        self.betas, self.variance = CASES[name]
        self.file = golden(f"diffusion_{name}.npz")
        self.schedule = from_betas(self.betas)
        self.t = jnp.asarray(self.file["t_index0"] + 1)
        self.x_0 = self["x_start"]
        self.x_t = self["q_sample"]
        raw = self["model_output"]
        self.eps_pred = raw[..., :3]
        self.v = raw[..., 3:] if self.variance == "learned" else None

    def __getitem__(self, key):
        values = self.file[key]
        return jnp.asarray(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)


@pytest.fixture(params=CASES)
def case(request, golden):
    return Case(golden, request.param)


def test_tables_are_exact(case):
    s = case.schedule
    tables = {
        "betas": s.beta,
        "alpha_bar": s.alpha_bar,
        "posterior_variance": s.posterior_variance,
        "posterior_log_variance_clipped": s.posterior_log_variance,
        "posterior_mean_coef_x0": s.posterior_mean_x0,
        "posterior_mean_coef_xt": s.posterior_mean_xt,
    }
    for name, table in tables.items():
        np.testing.assert_allclose(table[1:], case.file[name], rtol=1e-9, err_msg=name)
    assert s.alpha_bar[0] == 1.0


def test_forward_process(case):
    x_t = diffusion.q_sample(case.schedule, case.x_0, case.t, case["noise"])
    np.testing.assert_allclose(x_t, case["q_sample"], **CLOSE)
    mean = diffusion.q_posterior_mean(case.schedule, case.x_0, case.x_t, case.t)
    np.testing.assert_allclose(mean, case["q_posterior_mean"], **CLOSE)


@pytest.mark.parametrize("clip", [False, True])
def test_reverse_mean(case, clip):
    mean, x_0 = diffusion.p_mean(case.schedule, case.x_t, case.t, case.eps_pred, clip=clip)
    np.testing.assert_allclose(x_0, case[f"pred_x_start_clip{clip:d}"], **CLOSE)
    np.testing.assert_allclose(mean, case[f"p_mean_clip{clip:d}"], **CLOSE)


def test_reverse_variance(case):
    found = diffusion.log_variance(case.schedule, case.variance, case.t, case.v)
    expected = case["p_log_variance"]
    np.testing.assert_allclose(jnp.broadcast_to(found, expected.shape), expected, **CLOSE)


def test_losses(case):
    """The large terms at the last steps need the relative bound; all are within 1e-4 of it."""
    arguments = (case.schedule, case.x_0, case.x_t, case.t, case.eps_pred)
    total = losses.simple_loss(case["noise"], case.eps_pred)
    np.testing.assert_allclose(total, case["loss_mse"], **CLOSE)
    log_variance = diffusion.log_variance(case.schedule, case.variance, case.t, case.v)
    term = losses.variational_term(*arguments, log_variance)
    np.testing.assert_allclose(term, case["vb_bits_per_dim"], **CLOSE)
    if case.variance == "learned":
        total = total + losses.hybrid_term(*arguments, case.v)
    np.testing.assert_allclose(total, case["loss_loss"], **CLOSE)


@pytest.mark.parametrize("kind", ["eps", "v", "x_0"])
def test_every_kind_of_output_means_the_same_noise(kind, case):
    root = diffusion.root_alpha_bar(case.schedule, case.t)
    deviation = diffusion.deviation_of(case.schedule, case.t)
    output = diffusion.target(kind, root, deviation, case.x_0, case["noise"])
    eps = diffusion.eps_from_output(kind, root, deviation, case.x_t, output)
    np.testing.assert_allclose(eps, case["noise"], atol=2e-3)  # x_t / sqrt(beta_1) at t = 1


@pytest.mark.parametrize(("method", "key"), [("ancestral", "ancestral_step"), ("ddim", "ddim")])
def test_one_step_of_a_sampler(case, method, key, monkeypatch):
    """Runs the sampler on one image for the one step above its `stop`, with the file's noise."""
    steps = (
        [(0.0, f"{key}_step_eta0"), (1.0, f"{key}_step_eta1")] if method == "ddim" else [({}, key)]
    )
    for i, t in enumerate(np.asarray(case.t)):
        one = slice(i, i + 1)
        monkeypatch.setattr(
            diffusion, "per_image_normal", lambda *_, noise=case["step_noise"][one]: noise
        )
        schedule = respace(case.schedule, range(1, int(t) + 1))
        predict = lambda *_, one=one: (case.eps_pred[one], None if case.v is None else case.v[one])  # noqa: E731
        for eta, name in steps:
            x = samplers.SAMPLERS[method](
                predict,
                schedule,
                case.x_t[one],
                jax.random.split(jax.random.key(0), 1),
                variance=case.variance,
                stop=int(t) - 1,
                **({"eta": eta} if method == "ddim" else {}),
            )
            np.testing.assert_allclose(x, case[name][one], err_msg=f"{name} at t={t}", **CLOSE)


def test_strided_steps(golden):
    file = golden("respaced_timesteps.npz")
    for key in file.files:
        total, _, sections = key.partition("_")
        if sections.startswith("ddim"):
            continue  # DDIM's own spacing starts at the first step; ours ends at the last one
        counts = [int(n) for n in sections.split(",")]
        assert strided_steps(int(total), counts) == list(file[key] + 1), key


def test_respacing_keeps_the_marginals():
    schedule = make_schedule("cosine", 1000)
    kept = strided_steps(1000, 17)
    short = respace(schedule, kept)
    np.testing.assert_allclose(short.alpha_bar[1:], schedule.alpha_bar[kept], rtol=1e-12)
    # 1 - beta loses digits where beta is near 1, at the last step.
    np.testing.assert_allclose(np.cumprod(1 - short.beta), short.alpha_bar, rtol=1e-8)
    assert list(short.time[1:]) == kept
