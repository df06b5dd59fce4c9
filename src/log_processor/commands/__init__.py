"""What the program does beside following logs: a module each."""
