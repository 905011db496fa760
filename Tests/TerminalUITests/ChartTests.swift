// Values drawn with characters, down to those that are none.

import TerminalUI
import Testing
