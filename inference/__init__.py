"""The models: where they are kept, how they run in worker processes, and the broker that feeds those workers."""
