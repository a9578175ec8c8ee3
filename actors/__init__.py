"""The domain: one kind of actor a file. Behaviour only; wires, files and databases come in as arguments."""
