"""Tests of the task queue: its contract is written once and run on every backend."""
