-- What PagerDuty calls an incident: its notes name nothing else.
ALTER TABLE incident ADD COLUMN bridge {{key}};
CREATE INDEX incident_by_bridge ON incident (bridge) WHERE bridge IS NOT NULL;
