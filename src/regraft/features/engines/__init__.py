"""Engines that run a frozen network: by torch, by graphs, by OpenVINO; and the choice among them."""
