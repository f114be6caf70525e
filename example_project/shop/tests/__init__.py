"""How a site tests its mail: with pytest, or with Django's own test cases. They need no account and no sandbox."""
