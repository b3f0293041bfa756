-- What an action touches beside its target, as a list in JSON: limits for one object count every action on it.
ALTER TABLE action_start ADD COLUMN others TEXT;
