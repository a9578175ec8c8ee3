-- Users, what lets them in, and the log of their logins. Every time is microseconds since 1970, UTC.
-- The x_key columns hold the folded form in which x is unique.
CREATE TABLE users (
    id           INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 4294967295),
    username     TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    email        TEXT NOT NULL,
    email_key    TEXT NOT NULL UNIQUE,
    full_name    TEXT NOT NULL,
    status       TEXT NOT NULL,
    role         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL
) STRICT;

CREATE TABLE credentials (
    user_id       INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE refresh_sessions (
    token_hash BLOB PRIMARY KEY,
    family     TEXT NOT NULL,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_sessions_by_family ON refresh_sessions (family);
CREATE INDEX refresh_sessions_by_user ON refresh_sessions (user_id);

-- The log outlives the user, so nothing binds the two.
CREATE TABLE logins (
    user_id    INTEGER NOT NULL,
    login_time INTEGER NOT NULL,
    ip_address TEXT NOT NULL,
    username   TEXT NOT NULL,
    PRIMARY KEY (user_id, login_time, ip_address)
) STRICT, WITHOUT ROWID;
