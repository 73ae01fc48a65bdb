"""The list of attacks as a kit: what an operator runs against a deployment, whatever stands in front of it."""
