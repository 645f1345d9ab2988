"""`python -m memviz.demo`: make the bundled suite."""

import typer

from memviz.demo.making import main

typer.run(main)
