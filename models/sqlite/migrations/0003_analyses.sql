-- What the AI found. Meetings may live in another database, so nothing here refers to their table.
CREATE TABLE transcript_segments (
    task_id       TEXT NOT NULL,
    segment_index INTEGER NOT NULL,
    meeting_id    INTEGER NOT NULL,
    user_id       INTEGER NOT NULL,
    text          TEXT NOT NULL,
    confidence    REAL NOT NULL,
    language      TEXT NOT NULL,
    start_at      INTEGER NOT NULL,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (task_id, segment_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX transcript_segments_by_time ON transcript_segments (meeting_id, start_at, task_id, segment_index);

CREATE TABLE analyses (
    task_id     TEXT NOT NULL,
    result_type TEXT NOT NULL,
    meeting_id  INTEGER NOT NULL,
    user_id     INTEGER NOT NULL,
    result      TEXT NOT NULL,
    confidence  REAL NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (task_id, result_type)
) STRICT, WITHOUT ROWID;
CREATE INDEX analyses_by_time ON analyses (meeting_id, created_at, task_id, result_type);
