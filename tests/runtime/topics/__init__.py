"""Tests of runtime.topics."""
