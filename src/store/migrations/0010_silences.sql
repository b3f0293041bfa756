-- Effects of a further kind. Neither database changes a CHECK in place in words that the other knows, so the table is made
-- anew with the same rows.
CREATE TABLE effect_of_more_kinds (
    id         {{key}} NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('diagnose', 'act', 'notify', 'silence', 'wake')),
    lane       {{key}},
    queue      {{key}},
    seq        BIGINT  NOT NULL,
    urgent     BIGINT  NOT NULL CHECK (urgent IN (0, 1)),
    ready_at   BIGINT  NOT NULL,
    attempt    BIGINT  NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    owner      TEXT,
    created_at BIGINT  NOT NULL,
    due_at     BIGINT  NOT NULL,
    body       TEXT    NOT NULL,
    CHECK (owner IS NULL OR attempt > 0)
){{clustered}};
INSERT INTO effect_of_more_kinds (id, kind, lane, queue, seq, urgent, ready_at, attempt, owner, created_at, due_at, body)
    SELECT id, kind, lane, queue, seq, urgent, ready_at, attempt, owner, created_at, due_at, body FROM effect ORDER BY id;
DROP TABLE effect;
ALTER TABLE effect_of_more_kinds RENAME TO effect;
CREATE INDEX effect_ready ON effect (kind, urgent, ready_at) WHERE queue IS NULL;
CREATE INDEX effect_queue ON effect (kind, queue, urgent, ready_at) WHERE queue IS NOT NULL;
CREATE UNIQUE INDEX effect_lane ON effect (lane, seq) WHERE lane IS NOT NULL;
