"""Labels of photos: from their names, from tables, and from the files of other programs."""
