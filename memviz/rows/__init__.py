"""Rows that people bring: files of text or token ids, read without trust, and data sets of the hub.

`layout.py` is how a file may be laid out, `reading.py` the one way to read one, `columns.py` which of its columns are
meant, `tables.py` and `arrays.py` the formats, `splitting.py` texts to ids, `kept.py` and `hub.py` data sets.
"""
