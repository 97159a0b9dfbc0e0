#include "io/usage.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t usec(struct timeval t) {
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

static int64_t resident_bytes(void) {
    long long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        resident = fscanf(f, "%lld %lld", &all, &resident) == 2 ? resident : 0;
        fclose(f);
    }
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

void usage_read(struct usage *u) {
    struct rusage r;
    struct rlimit limit;
    *u = (struct usage){.resident_bytes = resident_bytes()};
    if (getrusage(RUSAGE_SELF, &r) == 0) {
        u->cpu_usec = usec(r.ru_utime) + usec(r.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        u->descriptors_max = (int64_t)limit.rlim_cur;
    }
}
