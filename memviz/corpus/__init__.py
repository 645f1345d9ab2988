"""The text a model was trained on: an exact n-gram index over a stream of token ids, on disk and memory-mapped."""

from memviz.corpus.answers import Span
from memviz.corpus.building import build
from memviz.corpus.files import Manifest
from memviz.corpus.index import Corpus, Kind
from memviz.corpus.stream import StreamShard

__all__ = [
    "Corpus",
    "Kind",
    "Manifest",
    "Span",
    "StreamShard",
    "build",
]
