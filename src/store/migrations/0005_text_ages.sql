-- When the text of a rule or policy was last taken for a new incident, so that those that nothing refers to can go.
-- Texts of before count as taken now; those of a program that knows nothing of this are kept for ever.
ALTER TABLE rule_text ADD COLUMN used_at BIGINT NOT NULL DEFAULT 9223372036854775807;
UPDATE rule_text SET used_at = (SELECT COALESCE(MAX(updated_at), 0) FROM incident);
