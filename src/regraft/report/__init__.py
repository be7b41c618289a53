"""Text and pages from files: a run folder, or the findings of a check with the photos they show.

Nothing here sees an object of a training. `page` is the frame and the design of all pages.
"""
