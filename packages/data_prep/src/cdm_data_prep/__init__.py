"""Beam pipelines that make aligned multi-resolution TFRecords."""
