"""The policies folder itself: reading it, and putting what it says in force."""
