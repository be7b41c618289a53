"""The frame of every server: its port, its connections, and the guard in front of its application."""
