"""Test sends: stored emails to a few addresses, from the admin and from the command line."""
