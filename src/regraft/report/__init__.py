"""What is made of a finished run folder; nothing here sees a living training."""
