-- What a step writes costs by the page, so rows of one incident lie together and indexes are small.

-- Alerts by incident, which grows at its end as incidents do. Fingerprints are spread evenly, so each alert touches a
-- page of their index: it holds nothing else, and its pages are few.
CREATE TABLE alert_by_page (
    incident_id {{key}} NOT NULL,
    fingerprint BIGINT  NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('firing', 'resolved')),
    starts_at   BIGINT  NOT NULL,
    ends_at     BIGINT,
    updated_at  BIGINT  NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, fingerprint)
);
INSERT INTO alert_by_page (incident_id, fingerprint, status, starts_at, ends_at, updated_at, body)
    SELECT incident_id, fingerprint, status, starts_at, ends_at, updated_at, body FROM alert ORDER BY incident_id;
DROP TABLE alert;
ALTER TABLE alert_by_page RENAME TO alert;
CREATE INDEX alert_by_fingerprint ON alert (fingerprint);
CREATE INDEX alert_tombstone_by_age ON alert (starts_at) WHERE incident_id = '';

-- The lines that one step writes for an incident are one row; `seq` is that of the first. Rows of before hold one line.
-- Not clustered: rows have become too large for SQLite's inner pages.
CREATE TABLE timeline_by_step (
    incident_id {{key}} NOT NULL,
    seq         BIGINT  NOT NULL CHECK (seq > 0),
    body        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, seq)
);
INSERT INTO timeline_by_step (incident_id, seq, body)
    SELECT incident_id, seq, body FROM timeline ORDER BY incident_id, seq;
DROP TABLE timeline;
ALTER TABLE timeline_by_step RENAME TO timeline;
