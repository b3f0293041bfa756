-- When Alertmanager was first seen to hold an alert: only what it once held can be missing there.
ALTER TABLE alert ADD COLUMN confirmed_at BIGINT;
