"""Cascaded Diffusion Models in JAX: the shared library."""

__version__ = "0.1.0"
