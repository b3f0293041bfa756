-- Findings stand in the order in which the rule has them.
ALTER TABLE finding ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
