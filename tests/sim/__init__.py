"""Simulations: properties that hold in every order, on virtual time from a seed."""
