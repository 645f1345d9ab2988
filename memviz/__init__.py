"""memviz: a workbench for memorization in large language models."""

__version__ = "0.1.0"
