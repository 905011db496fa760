// LinuxTarget.
