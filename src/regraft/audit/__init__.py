"""What is wrong with photos and labels, and which photos are too alike to be on two sides of a split."""
