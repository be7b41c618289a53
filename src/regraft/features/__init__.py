"""Engines that run a frozen network, and the store that keeps what they computed."""
