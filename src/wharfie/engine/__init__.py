"""Containers and only containers: their life, supervision, recovery and what is done to them."""
