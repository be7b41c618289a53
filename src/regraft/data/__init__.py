"""From what people have on disk to pixels: sources, the manifest, the split, decoding, views and the loader."""
