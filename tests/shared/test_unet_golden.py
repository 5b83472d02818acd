"""The U-Net against guided-diffusion's, with weights that are functions of their names."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cdm.config import ModelConfig
from cdm.nn.adm import params_from_adm
from cdm.nn.unet import make_unet

CASES = {
    "base_conv_resample": (
        ModelConfig(
            resolution=16,
            channels=32,
            channel_multipliers=(1, 2),
            num_res_blocks=2,
            attention_resolutions=(8,),
            num_heads=2,
            resample="conv",
        ),
        True,
    ),
    "base_resblock_resample": (
        ModelConfig(
            resolution=16,
            channels=32,
            channel_multipliers=(1, 2),
            num_res_blocks=2,
            attention_resolutions=(16, 8),
            head_channels=16,
            resample="resblock",
        ),
        False,
    ),
    "super_res": (
        ModelConfig(
            resolution=32,
            low_res=8,
            channels=32,
            channel_multipliers=(1, 1, 2),
            num_res_blocks=2,
            attention_resolutions=(8,),
            num_heads=2,
            resample="resblock",
        ),
        True,
    ),
}


def named_weights(shapes):
    """Each weight from its name alone (tests/golden/README.md)."""
    weights = {}
    for name, shape in shapes.items():
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        x = 0.05 * generator.standard_normal(shape).astype(np.float32)
        scale = name.endswith("weight") and len(shape) == 1
        weights[name] = 1.0 + x if scale else x
    return weights


@pytest.mark.parametrize("name", CASES)
def test_output_equals_guided_diffusion(name, golden, golden_folder):
    config, heads_first = CASES[name]
    file = golden(f"unet_adm_{name}.npz")
    shapes = json.loads((golden_folder / f"unet_adm_{name}_weight_shapes.json").read_text())
    params = params_from_adm(named_weights(shapes), config, heads_first=heads_first)
    network = make_unet(config, outputs=6, level_input=False)
    expected_shapes = jax.eval_shape(network.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected_shapes)

    images = {
        key: jnp.asarray(file[f"{key}_nchw"].transpose(0, 2, 3, 1))
        for key in ("x", "low_res")
        if f"{key}_nchw" in file.files
    }
    output = network.apply(
        params,
        images["x"],
        jnp.asarray(file["t"]),
        label=jnp.asarray(file["y"]),
        low_res=images.get("low_res"),
    )
    expected = file["output_nchw"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-4)


def test_weights_of_another_layout_are_named(golden_folder):
    file = golden_folder / "unet_adm_base_conv_resample_weight_shapes.json"
    weights = named_weights(json.loads(file.read_text()))
    config, heads_first = CASES["base_conv_resample"]
    del weights["middle_block.1.qkv.bias"]
    with pytest.raises(ValueError, match=r"no 'middle_block\.1\.qkv\.bias'"):
        params_from_adm(weights, config, heads_first=heads_first)
    weights["middle_block.1.qkv.bias"] = np.zeros(3 * 64, np.float32)
    weights["extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"'extra\.weight' and 0 more"):
        params_from_adm(weights, config, heads_first=heads_first)
