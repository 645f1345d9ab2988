"""The engine: loading causal language models, and what they say about a row of tokens. The layer about torch."""
