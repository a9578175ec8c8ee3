"""Tests of `runtime.engine`."""
