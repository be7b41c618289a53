"""The shared feature store: immutable files in one folder or bucket, for many writers and readers on many machines."""
