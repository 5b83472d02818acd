"""The weights of guided-diffusion's U-Nets (Dhariwal & Nichol 2021, "ADM") as our parameters.

Same layout, other names and axes: theirs are numbered blocks of a flat list with channels first.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cdm.config import ModelConfig
from cdm.nn.functional import Params

Weights = Mapping[str, np.ndarray]


def params_from_adm(weights: Weights, config: ModelConfig, *, heads_first: bool) -> Params:
    """The parameters of `make_unet(config, ...)` from a state dict of guided-diffusion.

    Args:
        weights: float32 arrays under guided-diffusion's names.
        config: settings of the same layout; without a level input.
        heads_first: how the rows of `qkv` are ordered: head by head with q, k, v of each (the
            released checkpoints' default), or all of q, then k, then v (`use_new_attention_order`).

    Raises:
        ValueError: names are missing or left over, so that the settings are of another network.
    """
    taken: set[str] = set()

    def get(name: str) -> np.ndarray:
        if name not in weights:
            raise ValueError(f"the weights have no '{name}', which these settings need")
        taken.add(name)
        return np.asarray(weights[name], np.float32)

    def norm(name: str) -> Params:
        return {"scale": get(f"{name}.weight"), "bias": get(f"{name}.bias")}

    def linear(name: str) -> Params:
        kernel = get(f"{name}.weight")
        return {"kernel": kernel.reshape(kernel.shape[:2]).T, "bias": get(f"{name}.bias")}

    def conv(name: str) -> Params:
        return {"kernel": get(f"{name}.weight").transpose(2, 3, 1, 0), "bias": get(f"{name}.bias")}

    def res(name: str) -> Params:
        params = {
            "norm1": norm(f"{name}.in_layers.0"),
            "conv1": conv(f"{name}.in_layers.2"),
            "embed": linear(f"{name}.emb_layers.1"),
            "norm2": norm(f"{name}.out_layers.0"),
            "conv2": conv(f"{name}.out_layers.3"),
        }
        if f"{name}.skip_connection.weight" in weights:
            params["shortcut"] = conv(f"{name}.skip_connection")
        return params

    def attention(name: str) -> Params:
        qkv = linear(f"{name}.qkv")
        if heads_first:
            channels = qkv["kernel"].shape[0]
            heads = config.num_heads if config.head_channels is None else None
            heads = heads or max(1, channels // (config.head_channels or channels))
            qkv = {key: _thirds_first(value, heads) for key, value in qkv.items()}
        return {"norm": norm(f"{name}.norm"), "qkv": qkv, "out": linear(f"{name}.proj_out")}

    def block(name: str, attend: bool) -> Params:
        params = {"res": res(f"{name}.0")}
        if attend:
            params["attention"] = attention(f"{name}.1")
        return params

    def change(name: str, convolution: str) -> Params:
        if config.resample == "resblock":
            return {"res": res(name)}
        return {"conv": conv(f"{name}.{convolution}")}

    params: Params = {
        "time": {"dense1": linear("time_embed.0"), "dense2": linear("time_embed.2")},
        "first": conv("input_blocks.0.0"),
        "middle": {
            "0": {"res": res("middle_block.0"), "attention": attention("middle_block.1")},
            "1": {"res": res("middle_block.2")},
        },
        "norm": norm("out.0"),
        "last": conv("out.2"),
        **_sides(config, block, change),
    }
    if config.num_classes is not None:
        params["classes"] = {"embedding": get("label_emb.weight")}
    left = sorted(set(weights) - taken)
    if left:
        raise ValueError(f"the weights have '{left[0]}' and {len(left) - 1} more that do not fit")
    return params


def _sides(
    config: ModelConfig,
    block: Callable[[str, bool], Params],
    change: Callable[[str, str], Params],
) -> Params:
    """The way down and the way up; theirs count an upsampling to the block before it."""
    down: list[Params] = []
    up: list[Params] = []
    levels = len(config.channel_multipliers)
    for i in range(levels):
        attend = config.resolution // 2**i in config.attention_resolutions
        for _ in range(config.num_res_blocks):
            down.append(block(f"input_blocks.{len(down) + 1}", attend))
        if i < levels - 1:
            down.append(change(f"input_blocks.{len(down) + 1}.0", "op"))
    number = 0
    for i in reversed(range(levels)):
        attend = config.resolution // 2**i in config.attention_resolutions
        for j in range(config.num_res_blocks + 1):
            up.append(block(f"output_blocks.{number}", attend))
            if i > 0 and j == config.num_res_blocks:
                up.append(change(f"output_blocks.{number}.{2 if attend else 1}", "conv"))
            number += 1
    return {
        side: {str(i): p for i, p in enumerate(blocks)}
        for side, blocks in (("down", down), ("up", up))
    }


def _thirds_first(values: np.ndarray, heads: int) -> np.ndarray:
    """Reorders the last axis from [heads, 3, d] to [3, heads, d]."""
    split = values.reshape(*values.shape[:-1], heads, 3, -1)
    return np.swapaxes(split, -2, -3).reshape(values.shape)
