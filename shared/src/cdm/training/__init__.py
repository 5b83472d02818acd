"""The training loop and what it needs; a stage brings its loss and its previews."""
