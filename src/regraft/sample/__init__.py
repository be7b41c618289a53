"""The embedded sample: photos to try regraft on, without a download."""
