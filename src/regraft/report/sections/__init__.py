"""The sections of a report, one file each: functions from a `RunData` to HTML, "" where there is nothing to say."""
