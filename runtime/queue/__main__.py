"""The queue's command line."""

from __future__ import annotations

import sys

from runtime.queue.command import main

sys.exit(main())
