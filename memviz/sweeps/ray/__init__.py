"""Sweeps on a Ray cluster; the package `ray` is an extra (requirements-ray.txt) and imported when one is started."""
