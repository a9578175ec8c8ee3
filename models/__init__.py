"""What Parley remembers: the records, the interfaces of the stores that keep them, and the databases behind those."""
