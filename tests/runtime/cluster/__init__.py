"""Tests of the cluster on a real server: several nodes in this process."""
