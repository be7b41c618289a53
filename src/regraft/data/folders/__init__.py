"""Folders of photos: the files in them, and the meaning of the folders."""
