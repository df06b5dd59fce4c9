"""What any long-running process needs: its shutdown, retries, metrics, reports and heartbeat, threads, memory and time.
Does not know what is done with a line."""
