#include "count.h"

#include <stdio.h>
#include <stdlib.h>

/* Prints how many lines, words and bytes stand on the standard input. */
int main(void)
{
    struct counts counts;

    if (count(stdin, &counts) != 0) {
        perror("wordcount");
        return EXIT_FAILURE;
    }
    printf("%lu %lu %lu\n", counts.lines, counts.words, counts.bytes);
    return EXIT_SUCCESS;
}
