"""The user's requests, one module each; the steps that they share are in `steps/`."""
