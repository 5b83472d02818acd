"""The fence around Flax: a module factory becomes two pure functions over a plain dict.

NNX modules are convenient to write and costly to carry: `nnx.jit` splits and merges on every call
and its RNG state hides where randomness comes from. So modules are built here, split once, and the
rest of the project sees `init(key) -> params` and `apply(params, ...)`. Dropout takes its key as an
argument of the call.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx

Params = dict[str, Any]


class Network(NamedTuple):
    """A network as two pure functions.

    `init(key)` returns the parameters, a nested dict of float32 arrays.
    `apply(params, *args, **kwargs)` calls the module with them.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Network:
    """Turns a module factory into a Network; the module may hold `nnx.Param` state only.

    Raises:
        ValueError: the module holds other state (batch statistics, RNG streams).
    """
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, params, *rest = nnx.split(abstract, nnx.Param, ...)
    if jax.tree.leaves(rest):
        raise ValueError(f"a functional network holds parameters only, got also {rest}")

    def init(key: jax.Array) -> Params:
        return _text_keys(nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param)))

    def apply(values: Params, *args: Any, **kwargs: Any) -> Any:
        state = jax.tree.map(lambda x: x, params)
        nnx.replace_by_pure_dict(state, values)
        return nnx.merge(graph, state)(*args, **kwargs)

    return Network(init, apply)


def _text_keys(tree: Any) -> Any:
    """Module lists have whole numbers as keys; files and path names want text."""
    if not isinstance(tree, dict):
        return tree
    return {str(key): _text_keys(value) for key, value in tree.items()}
