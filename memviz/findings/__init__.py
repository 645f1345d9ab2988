"""What finished sweeps say of the claims of docs/claims.toml: the text of docs/findings.md and its pictures.

`claims.py` reads claims and decides one, `evidence/` computes their statistics, `numbers.py` makes the tables of the
figures, `pictures.py` draws them, `report.py` puts the document together; `memviz findings` writes it.

    material = material_of([read_sweep(folder)], frequencies)
    verdicts = judge(read_claims(path), material, statistics(spaces, known_predictors(settings)))
    document(verdicts, material, strata)
"""
