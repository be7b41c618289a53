"""The four recipes: linear probe, feature extraction, fine-tuning, and auto, which chooses among them."""
