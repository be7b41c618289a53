"""Exports: a classifier as a file that other programs run, proven to answer as `regraft predict` does."""
