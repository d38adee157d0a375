"""The use cases of a meeting. They decide and return what to send; they never touch a socket."""
