"""Lessons on transfer learning: scripts in the percent format, from which notebooks are made, and grades for them."""
