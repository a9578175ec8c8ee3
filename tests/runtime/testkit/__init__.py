"""Tests of `runtime.testkit`."""
