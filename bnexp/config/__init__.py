"""Declare: typed configuration, composed by Hydra, checked before anything trains.

`schema` says what is allowed and needs no Hydra; `compose` goes from overrides to it.
"""
