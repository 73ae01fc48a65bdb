"""A stand-in for the existing dossier backend: synthetic dossiers, real small PDFs, faults on demand.

It knows nothing of the gateway and imports nothing from it. No value in it belongs to a living person.
"""
