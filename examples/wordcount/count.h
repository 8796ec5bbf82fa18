#ifndef COUNT_H
#define COUNT_H

#include <stdio.h>

struct counts {
    unsigned long lines;
    unsigned long words;
    unsigned long bytes;
};

/* Counts what is left of a stream. Returns 0, or -1 if it cannot be read to its end. */
int count(FILE *stream, struct counts *counts);

#endif
