"""Causes: the form of its views, and what each shows."""
