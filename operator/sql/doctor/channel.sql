-- Channel: the one that the triggers notify.
SELECT mailroom_channel() AS channel;
