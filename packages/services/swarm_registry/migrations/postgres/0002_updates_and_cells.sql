-- The two update repositories, who runs what, and what waits for a second person. Moments are seconds since 1970-01-01 UTC.

-- Signed metadata, as its readers get it. `name` is the file's name on the wire, such as 3.targets.json.
CREATE TABLE update_files (
    repository TEXT   NOT NULL CHECK (repository IN ('image', 'director')),
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    content    TEXT   NOT NULL,
    PRIMARY KEY (repository, name)
);
CREATE INDEX idx_update_role ON update_files (repository, role, version);

-- How far each repository is; its row is the lock under which it changes.
CREATE TABLE update_heads (
    repository        TEXT   PRIMARY KEY CHECK (repository IN ('image', 'director')),
    root_version      BIGINT NOT NULL, -- 0 = nothing is published yet
    timestamp_version BIGINT NOT NULL,
    snapshot_version  BIGINT NOT NULL,
    targets_version   BIGINT NOT NULL
);
INSERT INTO update_heads VALUES ('image', 0, 0, 0, 0), ('director', 0, 0, 0, 0);

CREATE TABLE cells (
    site_id       TEXT   PRIMARY KEY,
    assigned      TEXT,            -- digest; the director's metadata says the same
    deployment_id BIGINT,          -- the newest one
    seen_unix     BIGINT,
    started_unix  BIGINT NOT NULL, -- with sequence: the order of reports
    sequence      BIGINT NOT NULL,
    report        TEXT             -- JSON, the last one
);
CREATE INDEX idx_cells_assigned ON cells (assigned, site_id);

CREATE TABLE deployments (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id        TEXT   NOT NULL,
    csa_id         BIGINT NOT NULL,
    digest         TEXT   NOT NULL,
    skill_name     TEXT   NOT NULL,
    version        TEXT   NOT NULL,
    previous       TEXT,
    cause          TEXT   NOT NULL,
    rollout_id     BIGINT,
    reason         TEXT   NOT NULL,
    requested_by   TEXT   NOT NULL,
    requested_unix BIGINT NOT NULL,
    state          TEXT   NOT NULL,
    state_unix     BIGINT NOT NULL,
    detail         TEXT   NOT NULL
);
CREATE INDEX idx_deployments_site_time ON deployments (site_id, requested_unix);
CREATE INDEX idx_deployments_site ON deployments (site_id, id);
CREATE INDEX idx_deployments_skill ON deployments (skill_name, id);
CREATE INDEX idx_deployments_digest ON deployments (digest, id);

CREATE TABLE approvals (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action         TEXT   NOT NULL CHECK (action IN ('rollback_all', 'publish_root')),
    request        TEXT   NOT NULL, -- JSON, to be done as it is
    detail         TEXT   NOT NULL,
    requested_by   TEXT   NOT NULL,
    requested_unix BIGINT NOT NULL,
    expires_unix   BIGINT NOT NULL,
    confirmed_by   TEXT,
    confirmed_unix BIGINT
);

CREATE INDEX idx_csa_parent ON csa_artifacts (parent, id);
