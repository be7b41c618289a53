"""Reports from files: a finished run folder, or the findings of a check with the photos they show.

Nothing here sees a training in progress.
"""
