"""``python -m django_migma.sandbox``"""

import sys

from django_migma.sandbox.cli import main

sys.exit(main())
