-- Meetings and their participants. Users may live in another database, so nothing here refers to their table.
-- `fence` is the newest fencing token under which the meeting was written.
CREATE TABLE meetings (
    id                INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 4294967295),
    title             TEXT NOT NULL,
    description       TEXT NOT NULL,
    creator_id        INTEGER NOT NULL,
    status            TEXT NOT NULL,
    meeting_type      TEXT NOT NULL,
    start_time        INTEGER NOT NULL,
    end_time          INTEGER,
    actual_start_time INTEGER,
    actual_end_time   INTEGER,
    max_participants  INTEGER NOT NULL,
    password_hash     TEXT,
    settings          TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    fence             INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX meetings_by_creator ON meetings (creator_id, id);
CREATE INDEX meetings_active ON meetings (id) WHERE status = 'active';

CREATE TABLE participants (
    meeting_id INTEGER NOT NULL REFERENCES meetings (id) ON DELETE CASCADE,
    user_id    INTEGER NOT NULL,
    username   TEXT NOT NULL,
    role       TEXT NOT NULL,
    joined_at  INTEGER NOT NULL,
    left_at    INTEGER,
    PRIMARY KEY (meeting_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_by_user ON participants (user_id, meeting_id);
