"""The only FiftyOne: reads files, trains nothing. Empty until the views land."""
