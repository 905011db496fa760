// Malloscope.
