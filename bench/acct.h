/* acct.h: what a process used so far, from /proc: CPU time of all its threads and memory. */
#ifndef BENCH_ACCT_H
#define BENCH_ACCT_H

struct acct {
    double run;       /* seconds on a CPU, from the scheduler (ns resolution) */
    double user, sys; /* seconds, in clock ticks: good for the ratio of the two only */
    long peak_kb, rss_kb;
};

struct acct acct_read(int pid); /* zeroes when there is no such process */

#endif
