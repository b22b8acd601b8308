"""What a YAML file may say: the schema, strict, and how it is read."""
