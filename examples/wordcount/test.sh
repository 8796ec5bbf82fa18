#!/bin/sh
# Usage: test.sh PROGRAM [REPORT]
# Feeds texts to the program and compares what it counts.
set -eu

program=$1
report=${2:-/dev/null}
failures=0

say() {
    printf '%s\n' "$1" | tee -a "$report"
}

expect() {
    text=$1
    expected=$2
    # The text is a format, so that it can hold \n and \t.
    counted=$(printf "$text" | "$program")
    if [ "$counted" = "$expected" ]; then
        say "ok      '$text' has $expected"
    else
        say "FAILED  '$text' has $expected, not $counted"
        failures=$((failures + 1))
    fi
}

expect '' '0 0 0'
expect 'one' '0 1 3'
expect 'one\n' '1 1 4'
expect 'one two  three\n' '1 3 15'
expect '\n\n\n' '3 0 3'
expect '  spaces\tand tabs \n' '1 3 19'

if [ "$failures" -ne 0 ]; then
    say "$failures failed"
    exit 1
fi
say "all passed"
