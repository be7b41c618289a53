"""Batches of decoded photos for a network: whole photos or views, by threads or processes."""
