// StopControl.
