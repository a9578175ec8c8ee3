"""Figures of Parley beside the bare primitive and beside its peers: `python -m tests.bench NAME [--json] [--long]`.

A bench is one module (or package) in `tests/bench/benches`; putting it there is all that makes it known.
"""
