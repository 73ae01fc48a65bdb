"""The record: who asked for what, what was decided and what left. No answer goes out without it."""
