"""Files that survive crashes and damage: written completely or not at all, and checked when they are read."""
