"""Conditioning augmentation against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm import augment, images


def test_blur_equals_a_convolution_with_the_normal_density():
    """Figures of the 1-D kernels: .0404 .9192 .0404 at sigma 0.4; .1065 .7870; .1664 .6672."""
    impulse = jnp.zeros((3, 5, 5, 1)).at[:, 2, 2, 0].set(1.0)
    blurred = augment.gaussian_blur(impulse, jnp.asarray([0.4, 0.5, 0.6]))
    for i, side, middle in [(0, 0.0404, 0.9192), (1, 0.1065, 0.7870), (2, 0.1664, 0.6672)]:
        kernel = np.asarray([0, side, middle, side, 0])
        np.testing.assert_allclose(blurred[i, :, :, 0], np.outer(kernel, kernel), atol=1e-4)


def test_blur_reflects_at_the_edge():
    ramp = jnp.arange(4.0)[None, None, :, None] * jnp.ones((1, 4, 1, 1))
    w = np.exp(-0.5 / 0.5**2)
    blurred = augment.gaussian_blur(ramp, jnp.asarray([0.5]))[0, 0, :, 0]
    # The pixel beyond the edge is the one before it: 1 at both sides of 0.
    np.testing.assert_allclose(blurred[0], 2 * w / (1 + 2 * w), rtol=1e-6)
    np.testing.assert_allclose(blurred[1:3], [1.0, 2.0], rtol=1e-6)


def test_blur_is_drawn_for_each_image():
    x = jax.random.normal(jax.random.key(0), (400, 8, 8, 3))
    blurred = augment.random_blur(jax.random.key(1), x, (0.4, 0.6), 0.5)
    changed = np.asarray(jnp.any(blurred != x, axis=(1, 2, 3)))
    assert 160 < changed.sum() < 240
    # The strengths differ: the share of the variance that is left spans the range of sigma.
    left = np.asarray(jnp.var(blurred, axis=(1, 2, 3)) / jnp.var(x, axis=(1, 2, 3)))[changed]
    assert left.min() < 0.40
    assert left.max() > 0.60


def test_flips_are_joint():
    x = jax.random.uniform(jax.random.key(0), (32, 8, 8, 3))
    z = images.area_downsample(x, 4)
    flips = augment.random_flips(jax.random.key(1), 32)
    assert 4 < int(flips.sum()) < 28
    np.testing.assert_allclose(
        images.area_downsample(augment.flip(x, flips), 4), augment.flip(z, flips), atol=1e-6
    )
    np.testing.assert_array_equal(augment.flip(x, flips)[~flips], x[~flips])


def test_uint8_round_trip_and_range():
    levels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    x = images.from_uint8(levels)
    assert float(x.min()) == -1.0
    assert float(x.max()) == 1.0
    np.testing.assert_array_equal(images.to_uint8(x), levels)
    np.testing.assert_array_equal(images.to_uint8(jnp.full((1, 1, 1, 1), 1.7)), 255)


def test_area_downsample_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match="cannot average 6x6 images down to 4x4"):
        images.area_downsample(jnp.zeros((1, 6, 6, 3)), 4)


def test_low_res_consistency_measures_difference_and_shift():
    low = np.full((2, 4, 4, 3), 100, np.uint8)
    high = np.repeat(np.repeat(low, 2, 1), 2, 2)
    assert images.low_res_consistency(high, low) == (0.0, [0.0, 0.0, 0.0])
    high[..., 0] += 6
    difference, shift = images.low_res_consistency(high, low)
    assert difference == pytest.approx(2.0)
    assert shift == pytest.approx([6.0, 0.0, 0.0])


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_upsampling_keeps_a_ramp(method):
    """Interpolation with half-pixel centres reproduces a straight line inside the image."""
    ramp = jnp.arange(8.0)[None, None, :, None] * jnp.ones((1, 8, 1, 1))
    up = images.upsample(ramp, 16, method)[0, 0, :, 0]
    np.testing.assert_allclose(up[4:12], (np.arange(16) / 2 - 0.25)[4:12], atol=1e-5)
