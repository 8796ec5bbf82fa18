#include "count.h"

#include <ctype.h>
#include <stdbool.h>

int count(FILE *stream, struct counts *counts)
{
    bool in_word = false;
    int byte;

    *counts = (struct counts){0};
    while ((byte = getc(stream)) != EOF) {
        bool space = isspace(byte) != 0;

        counts->bytes++;
        counts->lines += byte == '\n';
        counts->words += !space && !in_word;
        in_word = !space;
    }
    return ferror(stream) ? -1 : 0;
}
