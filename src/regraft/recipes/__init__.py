"""What joins the parts: from a folder of photos to a trained, tested classifier in a run folder."""
