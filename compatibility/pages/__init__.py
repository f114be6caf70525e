"""A Wagtail app with one page: a contact form that mails what was entered."""
