"""Reads metrics by the official Python parser and prints them as JSON.

Usage: exposition.py FILE.
"""

import json
import pathlib
import sys

from prometheus_client.parser import text_string_to_metric_families

families = []
for family in text_string_to_metric_families(pathlib.Path(sys.argv[1]).read_text()):
    families.append(
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": s.name, "labels": s.labels, "value": s.value, "timestamp": s.timestamp}
                for s in family.samples
            ],
        }
    )
json.dump(families, sys.stdout)
