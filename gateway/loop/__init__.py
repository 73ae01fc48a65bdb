"""One thread, many requests: a loop over epoll, tasks that wait without blocking it, and threads for what blocks.

Why: with a thread for each request, every wait hands Python's lock to another thread and fights to get it back; at 16
connections that cost more than the work. In a loop nobody waits for the lock, a late backend costs one parked task,
and the code of a request still reads from top to bottom: a task is a greenlet, and waits where a thread would.
"""
