//! Runs futures on threads that are watched, names the one that blocks, and lets the others go on.
