-- Times are milliseconds since 1970 in UTC, bodies are JSON, and there are no booleans: that is what SQLite and
-- PostgreSQL understand alike. {{key}} is a text that is compared byte by byte, {{bytes}} holds raw bytes, and
-- {{clustered}} keeps the rows of a table within its primary key where the database can.

-- Deliveries as they arrived, until a step has consumed them.
CREATE TABLE inbox (
    id          {{key}} NOT NULL PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at BIGINT  NOT NULL,
    body        {{bytes}} NOT NULL
);

-- Deliveries that could not be read, for people.
CREATE TABLE dead_letter (
    id          {{key}} NOT NULL PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at BIGINT  NOT NULL,
    failed_at   BIGINT  NOT NULL,
    error       TEXT    NOT NULL,
    body        {{bytes}} NOT NULL
);
CREATE INDEX dead_letter_by_age ON dead_letter (failed_at);

-- Current state of each incident. `replaced` is the version that the first writer of this row expected: every
-- later write compares with `version`. Open incidents end in the far future (the greatest BIGINT).
CREATE TABLE incident (
    id                 {{key}} NOT NULL PRIMARY KEY,
    version            BIGINT  NOT NULL,
    replaced           BIGINT  NOT NULL CHECK (replaced >= 0),
    key                {{key}} NOT NULL,
    status             TEXT    NOT NULL CHECK (status IN ('triggered', 'acknowledged', 'resolved')),
    severity           TEXT    NOT NULL CHECK (severity IN ('P0', 'P1', 'P2', 'P3')),
    phase              TEXT    NOT NULL,
    rule               TEXT    NOT NULL,
    started_at         BIGINT  NOT NULL,
    updated_at         BIGINT  NOT NULL,
    ended_at           BIGINT  NOT NULL,
    next_escalation_at BIGINT,
    body               TEXT    NOT NULL,
    CHECK (version > replaced),
    CHECK ((status = 'resolved') = (ended_at < 9223372036854775807))
);
-- One open incident for each key.
CREATE UNIQUE INDEX incident_open_by_key ON incident (key) WHERE status <> 'resolved';
CREATE INDEX incident_ended_by_key ON incident (key, ended_at) WHERE status = 'resolved';
CREATE INDEX incident_ended_by_age ON incident (ended_at) WHERE status = 'resolved';
CREATE INDEX incident_open_by_status ON incident (status, id, severity) WHERE status <> 'resolved';

-- Alerts that are remembered, in the incident that counts them; an empty incident_id is a tombstone. Not clustered:
-- fingerprints are spread evenly, and each row in a place of its own would make every write touch pages of its own.
CREATE TABLE alert (
    fingerprint BIGINT  NOT NULL,
    incident_id {{key}} NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('firing', 'resolved')),
    starts_at   BIGINT  NOT NULL,
    ends_at     BIGINT,
    updated_at  BIGINT  NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, incident_id)
);
CREATE INDEX alert_by_incident ON alert (incident_id, starts_at);

-- The audit trail; the lines carry their hash chain in the body.
CREATE TABLE timeline (
    incident_id {{key}} NOT NULL,
    seq         BIGINT  NOT NULL CHECK (seq > 0),
    body        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, seq)
){{clustered}};

-- Wishes that are not yet carried out. A row is deleted when it is done. `ready_at` is when it may be claimed: the
-- due time, the end of the current lease, or the time it was postponed to. `attempt` rises with each claim and is
-- the fencing token. Rows of one lane are carried out one after the other, in the order of `seq`. Of one queue each
-- claim gets one row.
CREATE TABLE effect (
    id         {{key}} NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('diagnose', 'act', 'notify', 'wake')),
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
CREATE INDEX effect_ready ON effect (kind, urgent, ready_at) WHERE queue IS NULL;
CREATE INDEX effect_queue ON effect (kind, queue, urgent, ready_at) WHERE queue IS NOT NULL;
CREATE UNIQUE INDEX effect_lane ON effect (lane, seq) WHERE lane IS NOT NULL;

-- The newest finding of each name.
CREATE TABLE finding (
    incident_id {{key}} NOT NULL,
    name        {{key}} NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, name)
){{clustered}};

CREATE TABLE document (
    incident_id {{key}} NOT NULL,
    title       {{key}} NOT NULL,
    written_at  BIGINT  NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, title)
){{clustered}};

-- Texts of rules and policies by digest.
CREATE TABLE rule_text (
    hash {{key}} NOT NULL PRIMARY KEY,
    body TEXT    NOT NULL
){{clustered}};

-- Actions that were allowed to start: what the limits count.
CREATE TABLE action_start (
    remedy     TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    namespace  TEXT,
    started_at BIGINT NOT NULL
);
CREATE INDEX action_start_by_time ON action_start (started_at);

-- Version of everything that the limits and pauses are judged over. One row, so its lock orders all replicas.
CREATE TABLE ledger (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO ledger (id, version) VALUES (1, 0);

-- Pauses in force; an empty namespace is the global one.
CREATE TABLE pause (
    namespace {{key}} NOT NULL PRIMARY KEY,
    set_by    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    since     BIGINT  NOT NULL
){{clustered}};

-- Written to learn whether the database takes writes.
CREATE TABLE pulse (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    beats BIGINT NOT NULL
);
INSERT INTO pulse (id, beats) VALUES (1, 0);
