// The system calls that Swift cannot make safely. Every function returns a value or minus errno.
#ifndef CPTRACE_H
#define CPTRACE_H

#endif
