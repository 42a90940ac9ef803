"""Processes with a known answer for `study`: long differences, panels, and one's own."""
