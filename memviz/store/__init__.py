"""Results on disk, named by the hash of the request they answer; a cache that may be deleted at any time.

`keys.py` names them, `index.py` keeps the rows, `files.py` the arrays, `results.py` puts the two together as `Store`.
"""

from memviz.store.keys import request_hash
from memviz.store.results import Store

__all__ = ["Store", "request_hash"]
