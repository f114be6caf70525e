"""Settings of a worker in a process of its own: ``TEST_MIGMA`` in the environment holds keys of MIGMA as JSON."""

import json
import os

from tests import settings as base

globals().update({name: getattr(base, name) for name in dir(base) if name.isupper()})
MIGMA = {**base.MIGMA, **json.loads(os.environ["TEST_MIGMA"])}
