"""The open questions, each a file that runs, measures and concludes."""
