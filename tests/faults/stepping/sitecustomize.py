"""On the path of the processes whose clock is stepped, and imported by Python itself when they start.

libfaketime 0.9.10, Debian's, lets the monotonic clock alone and yet changes what a process asks it to sleep by:
`time.sleep` of Python 3.11 fails with EINVAL (its issue 426). So sleeping is waiting for nothing here.
"""

import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds) and None
