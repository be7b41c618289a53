"""Batches for a `Trainer`: from arrays, data sets, loaders and generators, divided into epochs."""
