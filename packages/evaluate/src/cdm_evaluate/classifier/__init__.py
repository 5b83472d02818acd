"""The feature network of small data sets: a classifier trained on their own real images."""
