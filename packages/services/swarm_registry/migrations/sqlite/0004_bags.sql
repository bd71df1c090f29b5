-- Bags that were handed in. Moments are seconds since 1970-01-01 UTC.

CREATE TABLE bags (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT   NOT NULL,
    digest        TEXT   NOT NULL UNIQUE, -- SHA-256 of the archive, 64 lower-case hex digits
    size          BIGINT NOT NULL,        -- bytes of the archive
    site          TEXT   NOT NULL,        -- who handed it in, as the registry knows
    object        TEXT   NOT NULL,        -- where its bytes are in the artifact store; no two bags share one
    uploaded_unix BIGINT NOT NULL
);
CREATE INDEX idx_bags_uploaded ON bags (uploaded_unix);
