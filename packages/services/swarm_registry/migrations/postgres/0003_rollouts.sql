-- Roll-outs: what was asked for and how far it is, as the engine (swarm_rollout) reads and writes it.

CREATE TABLE rollouts (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    skill_name   TEXT   NOT NULL,
    artifact     TEXT   NOT NULL, -- digest
    rollout      TEXT   NOT NULL, -- JSON
    is_open      BIGINT NOT NULL, -- 1 = the engine may still have something to do
    created_by   TEXT   NOT NULL,
    created_unix BIGINT NOT NULL
);
CREATE INDEX idx_rollouts_open ON rollouts (is_open, skill_name);

CREATE TABLE rollout_notes (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout_id BIGINT NOT NULL REFERENCES rollouts (id),
    at_unix    BIGINT NOT NULL,
    note       TEXT   NOT NULL
);
CREATE INDEX idx_rollout_notes ON rollout_notes (rollout_id, id);
