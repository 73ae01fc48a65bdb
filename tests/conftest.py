"""Every test, whatever it is about: no example is wrong because the machine was slow."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
