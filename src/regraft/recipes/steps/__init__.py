"""The steps of the recipes."""
