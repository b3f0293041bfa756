-- The last report of each scheduled check. The next run is an effect.
CREATE TABLE check_report (
    name   {{key}} NOT NULL PRIMARY KEY,
    ran_at BIGINT  NOT NULL,
    body   TEXT    NOT NULL
);
