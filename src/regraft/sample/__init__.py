"""Sample images that come with regraft, to try it without a download."""
