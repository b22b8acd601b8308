"""How tests write tf.train.Example, by Google's protobuf, and TFRecord files."""

import struct

import pytest

from cnnlab.data.crc32c import crc32c, masked


def example_class():
    """The message of tensorflow/core/example/example.proto and feature.proto."""
    pytest.importorskip("google.protobuf", reason="pip install protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="cnnlab_example.proto", package="cnnlab", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def add(name, *fields):
        made = file.message_type.add(name=name)
        for number, (key, kind, label, type_name) in enumerate(fields, 1):
            made.field.add(name=key, number=number, type=kind, label=label, type_name=type_name)
        return made

    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        add(name, ("value", kind, field.LABEL_REPEATED, None))
    message, one = field.TYPE_MESSAGE, field.LABEL_OPTIONAL
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    feature = add("Feature", *((key, message, one, f".cnnlab.{name}") for key, name in lists))
    feature.oneof_decl.add(name="kind")
    for part in feature.field:
        part.oneof_index = 0
    features = add("Features", ("feature", message, field.LABEL_REPEATED, ".cnnlab.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=one)
    entry.field.add(name="value", number=2, type=message, label=one, type_name=".cnnlab.Feature")
    add("Example", ("features", message, one, ".cnnlab.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cnnlab.Example"))


def example(**features):
    """The bytes of an Example: bytes and text become bytes, floats floats, whole numbers int64; or lists of these."""
    made = example_class()()
    for name, values in features.items():
        values = values if isinstance(values, list) else [values]
        feature = made.features.feature[name]
        if isinstance(values[0], bytes | str):
            feature.bytes_list.value.extend(v.encode() if isinstance(v, str) else v for v in values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return made.SerializeToString()


def tfrecord(*records):
    """The bytes of a TFRecord file."""
    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        sums = [struct.pack("<I", s) for s in masked(crc32c([length, record])).tolist()]
        parts += [length, sums[0], record, sums[1]]
    return b"".join(parts)
