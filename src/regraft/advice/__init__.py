"""Advice: the way of training that suits a folder, from measurements on other folders and from the user's own runs."""
