"""Backbones from timm's zoo, their blocks, and the classifier that stands on one."""
