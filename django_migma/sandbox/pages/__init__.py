"""The pages of the inbox, a module for each; useful without script."""
