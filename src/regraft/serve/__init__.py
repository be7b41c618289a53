"""A server of predictions: photos in requests, answers as `regraft predict --json` gives them."""
