"""Training losses (Algorithm 1, lines 6 and 14), each a mean over the dimensions of an image."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cdm import diffusion
from cdm.diffusion import Images, Steps
from cdm.schedules import Schedule

PerImage = Float[Array, " b"]


def simple_loss(target: Images, output: Images) -> PerImage:
    """The squared error, of the noise in the paper (DDPM, Eq. 14)."""
    return _mean(jnp.square(target - output))


def normal_kl(mean1: Images, log_variance1: Images, mean2: Images, log_variance2: Images) -> Images:
    """KL(N(mean1, variance1) || N(mean2, variance2)) of each dimension, in nats."""
    return 0.5 * (
        -1.0
        + log_variance2
        - log_variance1
        + jnp.exp(log_variance1 - log_variance2)
        + jnp.square(mean1 - mean2) * jnp.exp(-log_variance2)
    )


def discretized_gaussian_log_likelihood(x: Images, mean: Images, log_scale: Images) -> Images:
    """log p of 8-bit values in [-1, 1] under a Gaussian integrated over each value's bin, in nats.

    Bins reach 1/255 to both sides; the first and the last are open (DDPM, Eq. 13). The normal
    distribution function is the tanh approximation that the published likelihoods use.
    """
    centred = x - mean
    inverse = jnp.exp(-log_scale)
    upper = _normal_cdf(inverse * (centred + 1.0 / 255.0))
    lower = _normal_cdf(inverse * (centred - 1.0 / 255.0))
    tiny = 1e-12
    return jnp.where(
        x < -0.999,
        jnp.log(jnp.maximum(upper, tiny)),
        jnp.where(
            x > 0.999,
            jnp.log(jnp.maximum(1.0 - lower, tiny)),
            jnp.log(jnp.maximum(upper - lower, tiny)),
        ),
    )


def variational_term(
    schedule: Schedule,
    x_0: Images,
    x_t: Images,
    t: Steps,
    eps_pred: Images,
    log_variance: Images,
) -> PerImage:
    """One term of the variational bound, in bits for each dimension.

    KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t > 1, -log p(x_0 | x_1) at t = 1. The
    predicted x_0 is not clipped.
    """
    mean, _ = diffusion.p_mean(schedule, x_t, t, eps_pred, clip=False)
    true_mean = diffusion.q_posterior_mean(schedule, x_0, x_t, t)
    true_log_variance = diffusion.at(schedule.posterior_log_variance, t)
    kl = _mean(normal_kl(true_mean, true_log_variance, mean, log_variance))
    decoder = -_mean(discretized_gaussian_log_likelihood(x_0, mean, 0.5 * log_variance))
    return jnp.where(t == 1, decoder, kl) / math.log(2.0)


def hybrid_term(
    schedule: Schedule, x_0: Images, x_t: Images, t: Steps, eps_pred: Images, v: Images
) -> PerImage:
    """What Improved DDPM's hybrid loss adds to the simple one, for a learned variance.

    lambda L_vlb with lambda = 0.001 (Improved DDPM, Eq. 16). L_vlb is the sum of T terms of which
    one is drawn, hence the factor T / 1000; eps_pred is a constant in it, so that it teaches the
    variance alone.
    """
    log_variance = diffusion.log_variance(schedule, "learned", t, v)
    fixed = jax.lax.stop_gradient(eps_pred)
    term = variational_term(schedule, x_0, x_t, t, fixed, log_variance)
    return schedule.timesteps / 1000.0 * term


def _mean(values: Images) -> PerImage:
    return values.mean(axis=tuple(range(1, values.ndim)))


def _normal_cdf(x: Images) -> Images:
    return 0.5 * (1.0 + jnp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
