-- Which action a start belongs to, and how it ended: what one action at a time and the circuit breaker are judged
-- over. Starts of older versions have neither, and count as ended.
ALTER TABLE action_start ADD COLUMN action_id {{key}};
ALTER TABLE action_start ADD COLUMN ended_at BIGINT;
ALTER TABLE action_start ADD COLUMN result TEXT CHECK (result IN ('good', 'bad', 'not_started'));
CREATE UNIQUE INDEX action_start_by_action ON action_start (action_id) WHERE action_id IS NOT NULL;
CREATE INDEX action_start_under_way ON action_start (started_at) WHERE action_id IS NOT NULL AND ended_at IS NULL;
