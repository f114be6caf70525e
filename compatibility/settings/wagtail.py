"""A Wagtail site with the form page of ``compatibility.pages``."""

from .base import *

ROOT_URLCONF = "compatibility.test_wagtail"
INSTALLED_APPS = [
    "compatibility.pages",
    "wagtail.contrib.forms",
    "wagtail.users",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    *DJANGO_APPS,
]
WAGTAIL_SITE_NAME = "Example Shop"
WAGTAILADMIN_BASE_URL = "https://shop.example.com"
