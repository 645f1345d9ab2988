"""The predictor of memorization: a small Transformer that labels each continuation token memorized or not.

Imports nothing by itself: `presets.py`, `features.py`, `metrics.py` and `baselines.py` are free of torch, `module.py`,
`fit.py`, `artifact.py` and `reading.py` are not. What it is fitted on and where it is kept: `memviz.prediction`.
"""
