"""What operators watch: numbers that every worker counts for itself and any worker adds up when it is asked.

Why not prometheus_client's own counting: for several processes it costs a lock and a search for each number, in files.
Here a number costs an addition in memory that the processes share; the library writes the text on a scrape.
"""
