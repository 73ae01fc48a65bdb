"""Who asks, and what is true of them now: partners, conventions, accounts, mandates, objections and sessions.

`sessions` and `facts` answer requests, `directory` changes the facts for administrators, `store` holds them.
Dates become states here and nowhere else.
"""
