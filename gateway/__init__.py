"""The authorization gateway between the Caf's partners and the family dossiers."""

__version__ = "0.1.0"
