"""Tests of the stores: each contract is written once against the interfaces and run on every backend."""
