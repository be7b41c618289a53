"""Audit: problems of photos and labels, and duplicates."""
