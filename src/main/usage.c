/* usage.c: what -h, -V and -D write. Lines of one block are separated by CR LF and a block ends in LF: so does nutcracker,
 * and scripts read it. */
#include "io/io.h"
#include "main/args.h"
#include "stats/metric.h"

#include <stdio.h>
#include <string.h>

#define CRLF "\r\n"

void args_put_version(void) {
    fprintf(stderr, "This is kvmux-" KVMUX_VERSION CRLF "async event backend: %s" CRLF "\n", loop_backend());
}

void args_put_usage(const struct args *a) {
    const struct args_paths *p = args_paths(a);
    fprintf(stderr,
            "Usage: %s [-?hVdDt] [-v level] [-o log file] [-c conf file]" CRLF
            "       [-s stats port] [-a stats address] [-i stats interval] [-p pid file] [-m buffer size]" CRLF
            "       [--log-format F] [--threads N] [--admin address] [--where pool [--hex] [key ...]] [-t --diff old new]" CRLF CRLF "Options:" CRLF,
            a->program);
    fprintf(stderr,
            "  -h, --help             : show this text" CRLF
            "  -V, --version          : show the version" CRLF
            "  -t, --test-conf        : check the configuration file, tell every problem in it" CRLF
            "  -d, --daemonize        : run in the background" CRLF
            "  -D, --describe-stats   : list the fields of the statistics" CRLF
            "  -v, --verbose=N        : log level, 0 to 11 (default: 5)" CRLF
            "  -o, --output=S         : log file, or syslog:FACILITY (default: %s)" CRLF
            "  -c, --conf-file=S      : configuration file (default: %s)" CRLF
            "  -s, --stats-port=N     : port of the statistics (default: 22222)" CRLF
            "  -a, --stats-addr=S     : address or unix path of the statistics (default: %s)" CRLF
            "  -i, --stats-interval=N : accepted for compatibility; statistics are always fresh" CRLF
            "  -p, --pid-file=S       : pid file (default: %s)" CRLF
            "  -m, --mbuf-size=N      : accepted for compatibility, 512 to 16777216 bytes" CRLF
            "      --log-format F     : text or json (default: text)" CRLF
            "      --threads N        : worker threads (default: %s)" CRLF
            "      --admin ADDR       : HTTP for metrics, a page and commands: HOST:PORT, a unix path, or none (default: %s)" CRLF
            "      --admin-token-file=F : what requests to it must carry as bearer token" CRLF
            "      --where POOL [KEY] : show the server of each key; keys also from standard input, one a line" CRLF
            "      --hex              : keys of --where are given in hexadecimal" CRLF
            "      --diff OLD NEW     : show what is different in the second file, and how many keys move" CRLF "\n",
            p->log[0] != '\0' ? p->log : "standard error", p->conf, a->drop_in ? "0.0.0.0" : "127.0.0.1",
            p->pid[0] != '\0' ? p->pid : "none", a->drop_in ? "1" : "one per core", a->admin);
}

static void put_rows(const char *title, const struct metric_row *rows, unsigned n) {
    fprintf(stderr, "%s stats:\n", title);
    for (unsigned i = 0; i < n; i++) {
        /* nutcracker's own names are shorter than its column; those of kvmux may fill it */
        fprintf(stderr, "  %-20s%s\"%s\"\n", rows[i].name, strlen(rows[i].name) < 20 ? "" : " ", rows[i].help);
    }
}

void args_put_stats(void) {
    put_rows("pool", pool_metric_rows, POOL_METRICS);
    fputs("\n", stderr);
    put_rows("server", server_metric_rows, SERVER_METRICS);
}
