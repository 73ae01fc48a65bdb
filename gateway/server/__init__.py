"""The production server: HTTP/1.1 by llhttp, served by one loop in each of some supervised processes.

Why not one from the shelf: the gateway must never let a slow client hold a thread, must see each header as it was
sent, and must cost next to nothing. Those that are fast enough let slow bodies hold their threads, fold and join
headers, or rewrite header names; those that buffer cost as much as all the rest of a request. The parser is llhttp
(Node's, through httptools); nothing here reads HTTP by itself. `app.wsgi_app` is plain WSGI and runs under any other.
"""
