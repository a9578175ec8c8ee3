-- The embedded task queue. Times are Unix milliseconds. A task is one row of `tasks` or of `dead`, never of both.

CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delayed', 'running')),
    place INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    most INTEGER NOT NULL,
    visibility_ms INTEGER NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0,
    progress BLOB,
    text BLOB NOT NULL
) STRICT;
-- `place` orders those that wait; `due_ms` is when a delayed task begins to wait, and when a running one's lease ends.
CREATE INDEX IF NOT EXISTS tasks_waiting ON tasks (priority, place) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (due_ms) WHERE state <> 'waiting';

CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    died_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    text BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS dead_by_id ON dead (id);

CREATE TABLE IF NOT EXISTS results (id TEXT PRIMARY KEY, result BLOB, until_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, id TEXT NOT NULL, until_ms INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS results_until ON results (until_ms);
CREATE INDEX IF NOT EXISTS keys_until ON keys (until_ms);
-- The last answer to each caller, for the case that the call is repeated.
CREATE TABLE IF NOT EXISTS replies (
    caller TEXT PRIMARY KEY, number INTEGER NOT NULL, reply TEXT NOT NULL, until_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS counts (what TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
