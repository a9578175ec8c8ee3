"""The steps of the schema, numbered. One that has been released never changes; `models.sqlite.migration` runs them."""
