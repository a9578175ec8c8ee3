"""Tests of the Redis clients, on a real server."""
