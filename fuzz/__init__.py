"""Coverage-guided fuzzing of what comes from outside: ``README.md`` beside this file."""
