"""Parts of decoding: colors, and photos that are damaged, unusual or too large."""
