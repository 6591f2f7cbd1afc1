"""``python -m nextstate`` is ``nextstate``."""

import sys

from nextstate.cli import main

sys.exit(main())
