// Keeps the Swift runtime out of a C product that the package manager links with swiftc. Included
// by one file of each; works together with `-nostartfiles` in the package's manifest.
//
// swiftc names its runtime library on every link line. Loading it would allocate before our first
// line and spoil the heap that we are about to describe. The driver puts the strings of this
// section in front of that library, and so the linker drops what nothing refers to. The package
// manager's own linker settings come too late on the line for that.
__asm__(".pushsection .swift1_autolink_entries, \"e\", @progbits\n"
        ".asciz \"-Wl,--as-needed\"\n"
        ".popsection\n");
