"""One module for each revision, in the order of `gateway.database.history.DIRECTORY`.

Each has `upgrade` and `downgrade`, and `lost`, which counts in sentences what its downgrade forgets.
"""
