/* args.h: the command line: nutcracker's options with its rules and messages (docs/migrating.md), and ours. */
#ifndef KVMUX_MAIN_ARGS_H
#define KVMUX_MAIN_ARGS_H

#include "base/base.h"

#define ARGS_THREADS_MAX 256

/* Where things are when no option says so; "": nowhere. */
struct args_paths {
    const char *conf, *log, *pid; /* log: else standard error; pid: with -d only */
};

struct args {
    const char *program; /* "nutcracker" when run under that name, else "kvmux" */
    bool drop_in;        /* run as nutcracker: its defaults */
    bool version, help, describe, test, daemonize;
    const char *where; /* a pool; NULL: not asked */
    bool hex;
    const char *diff_old, *diff_new; /* two files to compare; NULL: not asked */
    char **keys; /* of --where: what is left of argv */
    int nkeys;
    const char *conf_file;
    const char *log_file; /* NULL: standard error; or "syslog:FACILITY" (syslog.h) */
    bool log_json;
    const char *pid_file; /* NULL: none */
    int log_level;
    const char *stats_addr; /* a host, an address, or a path that starts with '/' */
    uint16_t stats_port;
    unsigned threads; /* 0: not given */
    const char *admin; /* "host:port", a path that starts with '/', or "none" */
    bool admin_given;  /* then it must be free */
    const char *admin_token_file; /* NULL: none */
};

/* Fills `args` from argv. False after writing what is wrong, and the usage, to standard error. Points into argv. */
bool args_parse(struct args *, int argc, char **argv);

const struct args_paths *args_paths(const struct args *);

/* To standard error, as nutcracker does. */
void args_put_version(void);
void args_put_usage(const struct args *);
void args_put_stats(void); /* the fields of the statistics */

#endif
