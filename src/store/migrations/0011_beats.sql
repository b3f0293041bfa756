-- When each watchdog was last heard.
CREATE TABLE beat (
    name     {{key}} NOT NULL PRIMARY KEY,
    heard_at BIGINT  NOT NULL
){{clustered}};
