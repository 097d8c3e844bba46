// The header of all bindings.
