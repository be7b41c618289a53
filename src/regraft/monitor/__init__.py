"""Pages of a running server: the live page of all runs below a folder, and the review of photos.

Nothing here sees a training: it reads run folders, and keeps what other programs post as run folders.
"""
