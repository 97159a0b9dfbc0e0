#include "main/args.h"


#include "base/log.h"
#include "base/num.h"
#include "main/syslog.h"

#include <getopt.h>
#include <stdio.h>

#define MBUF_MIN 512
#define MBUF_MAX 16777216

static const char short_options[] = "hVtdDv:o:c:s:a:i:p:m:";

/* nutcracker's only. Ours are handled by take_own and want their whole name, so that every abbreviation that nutcracker
 * takes (--t, --h) still means the same. */
static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"test-conf", no_argument, NULL, 't'},
    {"daemonize", no_argument, NULL, 'd'},
    {"describe-stats", no_argument, NULL, 'D'},
    {"verbose", required_argument, NULL, 'v'},
    {"output", required_argument, NULL, 'o'},
    {"conf-file", required_argument, NULL, 'c'},
    {"stats-port", required_argument, NULL, 's'},
    {"stats-addr", required_argument, NULL, 'a'},
    {"stats-interval", required_argument, NULL, 'i'},
    {"pid-file", required_argument, NULL, 'p'},
    {"mbuf-size", required_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The second row is nutcracker's: its distributor chose the paths (meson_options.txt). */
static const struct args_paths all_paths[] = {
    {"/etc/kvmux/kvmux.yml", "", ""},
    {KVMUX_NUTCRACKER_CONF, KVMUX_NUTCRACKER_LOG, KVMUX_NUTCRACKER_PID},
};

const struct args_paths *args_paths(const struct args *a) {
    return &all_paths[a->drop_in];
}

static const char *path_or_none(const char *path) {
    return path[0] != '\0' ? path : NULL;
}

static void set_defaults(struct args *a, const char *argv0) {
    bool drop_in = argv0 != NULL && strcmp(base_name(argv0), "nutcracker") == 0;
    *a = (struct args){
        .program = drop_in ? "nutcracker" : "kvmux",
        .drop_in = drop_in,
        .log_level = LOG_NOTICE,
        .stats_addr = drop_in ? "0.0.0.0" : "127.0.0.1",
        .stats_port = 22222,
        .admin = drop_in ? "none" : "127.0.0.1:22280",
    };
    a->conf_file = args_paths(a)->conf;
    a->log_file = path_or_none(args_paths(a)->log);
}

/* Digits only. Any length: a number beyond 64 bits counts as the largest. */
static bool parse_digits(const char *text, uint64_t *v) {
    size_t n = strlen(text);
    if (n == 0 || strspn(text, "0123456789") != n) {
        return false;
    }
    if (!num_u64(slice(text, n), v)) {
        *v = UINT64_MAX;
    }
    return true;
}

static bool say_not_number(const struct args *a, char option) {
    fprintf(stderr, "%s: option -%c requires a number\n", a->program, option);
    return false;
}

static bool take_number(struct args *a, char option, const char *text) {
    uint64_t v;
    bool ok = parse_digits(text, &v);
    if (option == 'm') { /* accepted as a hint: kvmux sizes its buffers itself */
        if (!ok || v == 0) {
            fprintf(stderr, "%s: option -m requires a non-zero number\n", a->program);
            return false;
        }
        if (v < MBUF_MIN || v > MBUF_MAX) {
            fprintf(stderr, "%s: mbuf chunk size must be between %d and %d bytes\n", a->program, MBUF_MIN, MBUF_MAX);
            return false;
        }
        return true;
    }
    if (!ok) {
        return say_not_number(a, option);
    }
    if (option == 'v') {
        a->log_level = v > LOG_MAX ? LOG_MAX : (int)v;
    } else if (option == 's') {
        if (v < 1 || v > 65535) {
            fprintf(stderr, "%s: option -s value %s is not a valid port\n", a->program, text);
            return false;
        }
        a->stats_port = (uint16_t)v;
    }
    return true; /* -i: the statistics are fresh at every read */
}

/* ---- our own long options ---- */

static bool take_threads(struct args *a, const char *text) {
    uint64_t v;
    if (text == NULL || !parse_digits(text, &v) || v < 1 || v > ARGS_THREADS_MAX) {
        fprintf(stderr, "%s: option --threads requires a number between 1 and %d\n", a->program, ARGS_THREADS_MAX);
        return false;
    }
    a->threads = (unsigned)v;
    return true;
}

static bool take_text(const struct args *a, const char *option, const char *what, const char *text, const char **to) {
    if (text == NULL || text[0] == '\0') {
        fprintf(stderr, "%s: option %s requires %s\n", a->program, option, what);
        return false;
    }
    *to = text;
    return true;
}

static bool take_where(struct args *a, const char *text) {
    return take_text(a, "--where", "the name of a pool", text, &a->where);
}

static bool take_admin(struct args *a, const char *text) {
    a->admin_given = true;
    return take_text(a, "--admin", "HOST:PORT, a path, or none", text, &a->admin);
}

static bool take_admin_token_file(struct args *a, const char *text) {
    return take_text(a, "--admin-token-file", "a file name", text, &a->admin_token_file);
}

static bool take_hex(struct args *a, const char *text) {
    a->hex = true;
    return true;
}

/* The other file is the first argument that is no option. */
static bool take_diff(struct args *a, const char *text) {
    a->diff_old = text;
    return true;
}

static bool take_log_format(struct args *a, const char *text) {
    a->log_json = text != NULL && strcmp(text, "json") == 0;
    if (text == NULL || (!a->log_json && strcmp(text, "text") != 0)) {
        fprintf(stderr, "%s: option --log-format requires text or json\n", a->program);
        return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*take)(struct args *, const char *value); /* NULL: none was given */
    bool has_value;
} own_options[] = {
    {"--admin", take_admin, true},
    {"--admin-token-file", take_admin_token_file, true},
    {"--diff", take_diff, true},
    {"--hex", take_hex, false},
    {"--log-format", take_log_format, true},
    {"--threads", take_threads, true},
    {"--where", take_where, true},
};

/* `word` is an option that getopt does not know. */
static bool take_own(struct args *a, const char *word, int argc, char **argv) {
    const char *equals = strchr(word, '=');
    struct slice name = slice(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    for (size_t i = 0; i < ARRAY_LEN(own_options); i++) {
        if (!slice_is(name, own_options[i].name) || (equals != NULL && !own_options[i].has_value)) {
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : own_options[i].has_value && optind < argc ? argv[optind++] : NULL;
        return own_options[i].take(a, value);
    }
    fprintf(stderr, "%s: invalid option -- '%s'\n", a->program, word);
    return false;
}

static bool take_log(struct args *a, const char *text) {
    a->log_file = path_or_none(text);
    if (syslog_named(text) && !syslog_known(text)) {
        fprintf(stderr, "%s: option -o %s: no such facility; syslog:daemon, syslog:user, syslog:local0 to syslog:local7\n", a->program,
                text);
        return false;
    }
    return true;
}

/* getopt returned '?': an option without its argument, or an unknown one. */
static bool take_unknown(struct args *a, int argc, char **argv) {
    switch (optopt) {
    case 'v':
    case 's':
    case 'i':
    case 'm': return say_not_number(a, (char)optopt);
    case 'o':
    case 'c':
    case 'p': fprintf(stderr, "%s: option -%c requires a file name\n", a->program, optopt); return false;
    case 'a': fprintf(stderr, "%s: option -a requires a string\n", a->program); return false;
    case 0: return take_own(a, argv[optind - 1], argc, argv);
    default: fprintf(stderr, "%s: invalid option -- '%c'\n", a->program, optopt); return false;
    }
}

static bool take_option(struct args *a, int option, int argc, char **argv) {
    switch (option) {
    case 'h': a->version = a->help = true; return true;
    case 'V': a->version = true; return true;
    case 'D': a->version = a->describe = true; return true;
    case 't': a->test = true; return true;
    case 'd': a->daemonize = true; return true;
    case 'o': return take_log(a, optarg);
    case 'c': a->conf_file = optarg; return true;
    case 'p': a->pid_file = optarg; return true;
    case 'a': a->stats_addr = optarg; return true;
    case 'v':
    case 's':
    case 'i':
    case 'm': return take_number(a, (char)option, optarg);
    default: return take_unknown(a, argc, argv);
    }
}

bool args_parse(struct args *a, int argc, char **argv) {
    set_defaults(a, argc > 0 ? argv[0] : NULL);
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (!take_option(a, option, argc, argv)) {
            args_put_usage(a);
            return false;
        }
    }
    if (a->daemonize && a->pid_file == NULL) {
        a->pid_file = path_or_none(args_paths(a)->pid);
    }
    a->keys = argv + optind;
    a->nkeys = argc > optind ? argc - optind : 0;
    if (a->diff_old != NULL && a->nkeys != 1) {
        fprintf(stderr, "%s: option --diff requires two configuration files\n", a->program);
        args_put_usage(a);
        return false;
    }
    a->diff_new = a->diff_old != NULL ? a->keys[0] : NULL;
    return true;
}
