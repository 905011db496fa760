"""Decodes a gzip-compressed profile by Google's package and prints it as JSON, names in place of numbers.

Usage: profile.py PROFILE. The package gets the messages from profile.proto beside this file.
"""

import gzip
import json
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SCALARS = {"int64": 3, "uint64": 4, "bool": 8, "string": 9}


def declared(text):
    """The messages of a .proto text that has nothing but plain fields."""
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="profile", syntax="proto3")
    for name, body in re.findall(r"message (\w+) \{(.*?)\n\}", text, re.S):
        message = file.message_type.add(name=name)
        for repeated, kind, field, number in re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body):
            added = message.field.add(name=field, number=int(number), label=3 if repeated else 1)
            if kind in SCALARS:
                added.type = SCALARS[kind]
            else:
                added.type, added.type_name = 11, ".profile." + kind
    return file


pool = descriptor_pool.DescriptorPool()
pool.Add(declared((pathlib.Path(__file__).parent / "profile.proto").read_text()))
kind = pool.FindMessageTypeByName("profile.Profile")
if hasattr(message_factory, "GetMessageClass"):
    profile = message_factory.GetMessageClass(kind)()
else:
    profile = message_factory.MessageFactory(pool).GetPrototype(kind)()
profile.ParseFromString(gzip.decompress(pathlib.Path(sys.argv[1]).read_bytes()))

strings = list(profile.string_table)
assert strings[0] == "" and len(set(strings)) == len(strings)
functions = {f.id: f for f in profile.function}
locations = {l.id: l for l in profile.location}
mappings = {m.id: m for m in profile.mapping}
for table, entries in ((functions, profile.function), (locations, profile.location), (mappings, profile.mapping)):
    assert len(table) == len(entries) and 0 not in table


def frame(number):
    location = locations[number]
    function = functions[location.line[0].function_id]
    mapping = mappings[location.mapping_id] if location.mapping_id else None
    return {
        "name": strings[function.name],
        "file": strings[function.filename],
        "mapping": strings[mapping.filename] if mapping else None,
        "address": location.address,
    }


def value_type(value):
    return [strings[value.type], strings[value.unit]]


json.dump(
    {
        "sampleTypes": [value_type(t) for t in profile.sample_type],
        "default": strings[profile.default_sample_type],
        "periodType": value_type(profile.period_type),
        "period": profile.period,
        "time": profile.time_nanos,
        "duration": profile.duration_nanos,
        "comments": [strings[c] for c in profile.comment],
        "mappings": [
            {
                "file": strings[m.filename],
                "buildID": strings[m.build_id],
                "start": m.memory_start,
                "limit": m.memory_limit,
                "offset": m.file_offset,
                "symbolized": m.has_functions and m.has_filenames,
            }
            for m in profile.mapping
        ],
        "samples": [
            {
                "stack": [frame(number) for number in s.location_id],
                "values": list(s.value),
                "labels": {strings[l.key]: strings[l.str] for l in s.label},
            }
            for s in profile.sample
        ],
    },
    sys.stdout,
)
