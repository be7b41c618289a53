"""One kind of finding a file; each has a function `find`, from a `Subject` to findings."""
