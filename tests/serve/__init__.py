"""The server of answers over HTTP, as a process, and clients of every kind."""
