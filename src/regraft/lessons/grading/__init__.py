"""Grades for the exercise of the lessons: a notebook is run, and its answers are compared with the truth."""
