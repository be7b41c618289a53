"""Checks of photos and labels; each is a function `find_...` that returns the findings of a `Subject`."""
