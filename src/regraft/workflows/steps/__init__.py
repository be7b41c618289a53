"""The steps of the workflows, from the photos of a run to its results; several workflows share most of them."""
