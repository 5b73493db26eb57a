"""Synthetic samples: invented survey exports, each with a ledger of the truth they hold.

Nothing in here imports the pipeline: the samples are what the pipeline is tested against.
"""
