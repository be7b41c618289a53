"""Tables of the user: text, Excel and data frames, and the meaning of their columns."""
