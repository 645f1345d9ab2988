"""The bundled suite: GPT-NeoX models of several sizes, trained on a known stream of public-domain text."""
