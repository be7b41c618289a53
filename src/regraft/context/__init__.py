"""The context of a run: configuration, photos and their split, backbone, features, decisions."""
