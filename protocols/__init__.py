"""What goes over a wire, and nothing that opens one: messages, events, frames, schemas, error codes, tokens."""
