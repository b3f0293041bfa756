-- Changes for a limited time that stand. `until` is when they are to be undone.
CREATE TABLE temporary_fix (
    action_id {{key}} NOT NULL PRIMARY KEY,
    until     BIGINT  NOT NULL,
    body      TEXT    NOT NULL
){{clustered}};
