-- Artifacts, uploads that are under way, and the audit log. Moments are seconds since 1970-01-01 UTC.

CREATE TABLE csa_artifacts (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, not even after a restore
    digest            TEXT    NOT NULL UNIQUE,           -- SHA-256 of the archive, 64 lower-case hex digits
    skill_name        TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    size              BIGINT  NOT NULL,                  -- bytes of the archive
    signature         TEXT    NOT NULL,                  -- the .sig file
    signers           TEXT    NOT NULL,                  -- JSON list: the signers that counted when it was accepted
    base_version      TEXT,
    parent            TEXT,                              -- digest of the artifact that it was made from
    training_data     TEXT,
    notes             TEXT    NOT NULL,                  -- JSON object: the provenance of the manifest
    uploaded_by       TEXT    NOT NULL,                  -- as the uploader says
    uploader          TEXT    NOT NULL,                  -- as the registry knows
    uploaded_unix     BIGINT  NOT NULL,
    status            TEXT    NOT NULL CHECK (status IN ('active', 'quarantined')),
    status_reason     TEXT,
    status_by         TEXT,
    status_unix       BIGINT
);
CREATE UNIQUE INDEX idx_csa_skill_version ON csa_artifacts (skill_name, version);
CREATE INDEX idx_csa_status ON csa_artifacts (status, id);
CREATE INDEX idx_csa_skill ON csa_artifacts (skill_name, id);

CREATE TABLE uploads (
    id           TEXT   PRIMARY KEY,
    owner        TEXT   NOT NULL,
    length       BIGINT NOT NULL, -- announced bytes
    received     BIGINT NOT NULL, -- bytes whose part is stored
    updated_unix BIGINT NOT NULL
);
CREATE TABLE upload_parts (
    upload_id TEXT   NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    start     BIGINT NOT NULL,
    length    BIGINT NOT NULL,
    object    TEXT   NOT NULL,
    PRIMARY KEY (upload_id, start)
);

-- Each entry's hash covers the hash before it; audit_head is the last one, and the lock under which entries are added.
CREATE TABLE audit_log (
    seq      BIGINT PRIMARY KEY,
    at_unix  BIGINT NOT NULL,
    who      TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    detail   TEXT   NOT NULL,
    previous TEXT   NOT NULL,
    hash     TEXT   NOT NULL
);
CREATE TABLE audit_head (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    seq  BIGINT NOT NULL,
    hash TEXT   NOT NULL
);
INSERT INTO audit_head (one, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
