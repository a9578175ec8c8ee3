"""Tests of the inference package: with the real weights where they are, and with small stand-ins for every fault."""
