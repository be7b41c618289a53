"""A trained classifier in use: photos in, probabilities out."""
