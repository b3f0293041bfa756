#!/bin/sh
# A week of a shop's mail, minute by minute, in the format that `promtool tsdb create-blocks-from openmetrics` reads.
# Two workers send 40 mails a minute each. Five times the queue grows.
exec awk '
BEGIN {
  start = 1772409600                                # Monday, 2 March 2026, 00:00 UTC
  workers = 2; sent = 0; waiting = 0
  for (minute = 0; minute < 7 * 24 * 60; minute++) {
    day = int(minute / 1440); clock = minute % 1440 # day 0 is Monday; minutes since midnight
    come = 30 + int(25 * sin(3.14159 * clock / 1440)); can = 80
    if (day == 1 && clock >= 130 && clock < 170) come = 120         # Tuesday 02:10, a newsletter
    if (day == 2 && clock >= 840 && clock < 870) can = 0            # Wednesday 14:00, the mail server does not answer
    if (day == 4 && clock >= 1200 && clock < 1225) come = 130       # Friday 20:00, a sale ...
    if (day == 4 && clock >= 1290 && clock < 1310) come = 150       # ... and its last minutes
    if (day == 5 && clock >= 540 && clock < 557) can = 0            # Saturday 09:00, a short hang
    waiting += come; go = waiting < can ? waiting : can
    waiting -= go; sent += go
    at = start + minute * 60
    queue[minute] = waiting " " at; counter[minute] = sent " " at
  }
  labels = "{namespace=\"shop\",deployment=\"mailer\"} "
  print "# TYPE mail_queue_messages gauge"
  for (i = 0; i < minute; i++) print "mail_queue_messages" labels queue[i]
  print "# TYPE mail_sent counter"
  for (i = 0; i < minute; i++) print "mail_sent_total" labels counter[i]
  print "# TYPE up gauge"
  for (i = 0; i < minute; i++) print "up{job=\"mailer\"} 1 " start + i * 60
  print "# EOF"
}'
