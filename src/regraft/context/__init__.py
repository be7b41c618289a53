"""Everything a run has to hand: configuration, photos and their split, backbone, features, decisions."""
