/* tls.c: the keys tls_... and server_tls_...: reads the files, so that contexts can be made of them later and anywhere, and tries
 * whether they are fit for one. */
#include "base/mem.h"
#include "conf/build.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define PEM_MAX (16u << 20)

static struct place given_at(const struct build_pool *bp, const char *key) {
    int row = key_by_name(&keys_pool, key);
    ASSERT(row >= 0);
    return bp->key_at[row];
}

/* ---- files ---- */

/* A key of the pool that names a file. */
struct file {
    const char *key, *path; /* path NULL: not given */
    struct place at;
};

static char *read_text(FILE *f, size_t n) {
    char *text = mem_zalloc(n + 1);
    size_t got = fread(text, 1, n, f);
    if (got != n || strlen(text) != n) {
        mem_free(text);
        return NULL;
    }
    return text;
}

/* NULL after telling the problem. `secret`: it holds a key. */
static char *read_pem(const struct file *file, bool secret, struct conf_problems *ps) {
    struct quoted q;
    struct stat st;
    FILE *f = NULL;
    sources_add(&ps->sources, file->path);
    if (stat(file->path, &st) != 0 || (S_ISREG(st.st_mode) && (f = fopen(file->path, "re")) == NULL)) {
        problem_error(ps, file->at, "%s: file \"%s\": %s", file->key, quote(&q, file->path), strerror(errno));
        return NULL;
    }
    char *text = f != NULL && st.st_size <= PEM_MAX ? read_text(f, (size_t)st.st_size) : NULL;
    if (f != NULL) {
        fclose(f);
    }
    if (text == NULL) {
        problem_error(ps, file->at, "%s: \"%s\" is not a PEM file", file->key, quote(&q, file->path));
    } else if (secret && (st.st_mode & S_IROTH) != 0) {
        problem_warn(ps, file->at, "%s: everybody on this machine may read the key in \"%s\"; allow only kvmux to: chmod 600, or 640", file->key,
                     quote(&q, file->path));
    }
    return text;
}

/* Returns conf_pem.expires. */
static int64_t read_dates(const struct file *file, const char *pem, struct conf_problems *ps) {
    struct quoted q;
    char day[32];
    time_t from, until, now = time(NULL);
    if (!tls_dates(pem, &from, &until)) {
        return 0; /* what is wrong with it is said by try_context */
    }
    if (from <= now && now <= until) {
        return (int64_t)until * 1000000;
    }
    struct tm tm;
    const time_t *edge = now > until ? &until : &from;
    strftime(day, sizeof day, "%Y-%m-%d %H:%M UTC", gmtime_r(edge, &tm));
    problem_warn(ps, file->at, "%s: the certificate in \"%s\" %s %s", file->key, quote(&q, file->path),
                 now > until ? "expired at" : "is not valid before", day);
    return (int64_t)until * 1000000;
}

/* The texts of a certificate, its key and those who are believed. A key that is not given lies beside the certificate. */
static bool read_all(struct conf_pem *pem, const struct file *certificate, const struct file *key, const struct file *ca,
                     struct conf_problems *ps) {
    uint32_t before = conf_errors(ps);
    bool apart = key->path != NULL;
    if (certificate->path != NULL) {
        pem->certificate = read_pem(certificate, !apart, ps);
    } else if (apart) {
        problem_error(ps, key->at, "%s: needs the certificate that belongs to it; set %s", key->key, certificate->key);
    }
    if (pem->certificate != NULL) {
        pem->expires = read_dates(certificate, pem->certificate, ps);
        pem->key = apart ? read_pem(key, true, ps) : mem_strdup(pem->certificate);
    }
    if (ca->path != NULL) {
        pem->ca = read_pem(ca, false, ps);
    }
    return conf_errors(ps) == before;
}

/* Would a context come of it? `at` has the key that each part comes from. */
static void try_context(const struct tls_opts *opts, const struct file *const *at, struct conf_problems *ps) {
    static const char *const wanted[] = {
        [TLS_PART_CERTIFICATE] = "a certificate in PEM, and behind it the chain up to its CA, are wanted",
        [TLS_PART_KEY] = "the key of the certificate is wanted, in PEM and without a passphrase",
        [TLS_PART_CA] = "certificates in PEM are wanted",
        [TLS_PART_CIPHERS] = "a list as for openssl ciphers is wanted",
        [TLS_PART_SUITES] = "names of TLS 1.3 suites, with colons between them, are wanted",
    };
    enum tls_part wrong;
    char why[256];
    struct quoted q;
    struct tls_ctx *ctx = tls_ctx_new(opts, NULL, NULL, &wrong, why, sizeof why);
    if (ctx == NULL) {
        const struct file *f = at[wrong];
        problem_error(ps, f->at, "%s: \"%s\": %s; %s", f->key, f->path != NULL ? quote(&q, f->path) : "", why, wanted[wrong]);
    }
    tls_ctx_unref(&ctx);
}

/* ---- clients ---- */

static void check_listens(struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    struct quoted q;
    bool any = false;
    for (uint32_t i = 0; i < p->nlistens; i++) {
        any = any || p->listens[i].tls;
        if (p->listens[i].tls && p->tls_certificate == NULL) {
            problem_error(b->problems, bp->listens_at[i], "listen: \"%s\": needs a certificate; set tls_certificate and tls_key",
                          quote(&q, p->listens[i].text));
        }
    }
    if (p->tls_certificate != NULL && !any) {
        problem_warn(b->problems, given_at(bp, "tls_certificate"), "tls_certificate: nobody listens with TLS in this pool; write listen: "
                                                                   "\"host:port tls\"");
    }
}

static void check_client_ca(struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    if (p->tls_client_certificates != TLS_VERIFY_NONE && p->tls_client_ca == NULL) {
        problem_error(b->problems, given_at(bp, "tls_client_certificates"), "tls_client_certificates: set tls_client_ca: who signs them?");
    } else if (p->tls_client_certificates == TLS_VERIFY_NONE && p->tls_client_ca != NULL) {
        problem_warn(b->problems, given_at(bp, "tls_client_ca"), "tls_client_ca: clients are asked for no certificate; set "
                                                                 "tls_client_certificates: optional or required");
    }
}

static void build_accept(struct build *b, struct build_pool *bp) {
    struct conf_pool *p = &bp->pool;
    const struct file certificate = {"tls_certificate", p->tls_certificate, given_at(bp, "tls_certificate")};
    const struct file key = {"tls_key", p->tls_key, given_at(bp, "tls_key")};
    const struct file ca = {"tls_client_ca", p->tls_client_ca, given_at(bp, "tls_client_ca")};
    const struct file ciphers = {"tls_ciphers", p->tls_ciphers, given_at(bp, "tls_ciphers")};
    const struct file suites = {"tls_ciphersuites", p->tls_ciphersuites, given_at(bp, "tls_ciphersuites")};
    const struct file *const at[] = {NULL, &certificate, key.path != NULL ? &key : &certificate, &ca, &ciphers, &suites};
    check_listens(b, bp);
    check_client_ca(b, bp);
    bool any = certificate.path != NULL || ca.path != NULL || ciphers.path != NULL || suites.path != NULL;
    if (read_all(&p->tls_pem, &certificate, &key, &ca, b->problems) && any) { /* without TLS nothing of OpenSSL is set up: 2 MB, and its time */
        struct tls_opts opts = conf_tls_accept(b->conf, p);
        try_context(&opts, at, b->problems);
    }
}

struct tls_opts conf_tls_accept(const struct conf *conf, const struct conf_pool *p) {
    return (struct tls_opts){
        .accepts = true,
        .verify = p->tls_pem.ca != NULL ? p->tls_client_certificates : TLS_VERIFY_NONE,
        .min_version = p->tls_min_version,
        .certificate = p->tls_pem.certificate,
        .key = p->tls_pem.key,
        .ca = p->tls_pem.ca,
        .ciphers = p->tls_ciphers,
        .suites = p->tls_ciphersuites,
        .scope = p->name,
        .patience = p->tls_handshake_timeout * 1000,
        .steps = (uint32_t)conf->tls_handshakes,
    };
}

/* ---- servers ---- */

static const char *const server_keys[] = {
    "server_tls_ca", "server_tls_certificate", "server_tls_key", "server_tls_verify", "server_tls_name", "server_tls_min_version",
};

static void check_names(struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    for (uint32_t i = 0; p->server_tls_verify == SERVER_VERIFY_FULL && i < p->nservers; i++) {
        if (conf_tls_name(p, &p->servers[i])[0] == '\0') {
            problem_error(b->problems, bp->server_places[i], "servers: the certificate of a server on a unix socket can have no name of its own; "
                                                             "set server_tls_name, or server_tls_verify: ca");
            return;
        }
    }
}

static void build_connect(struct build *b, struct build_pool *bp) {
    struct conf_pool *p = &bp->pool;
    const struct file certificate = {"server_tls_certificate", p->server_tls_certificate, given_at(bp, "server_tls_certificate")};
    const struct file key = {"server_tls_key", p->server_tls_key, given_at(bp, "server_tls_key")};
    const struct file ca = {"server_tls_ca", p->server_tls_ca, given_at(bp, "server_tls_ca")};
    const struct file on = {"server_tls", NULL, given_at(bp, "server_tls")};
    const struct file *const at[] = {NULL, &certificate, key.path != NULL ? &key : &certificate, ca.path != NULL ? &ca : &on, &on, &on};
    if (!p->server_tls) {
        for (size_t i = 0; i < ARRAY_LEN(server_keys); i++) {
            struct place given = given_at(bp, server_keys[i]);
            if (given.line != 0) {
                problem_warn(b->problems, given, "%s: has no effect without server_tls: true", server_keys[i]);
            }
        }
        return;
    }
    if (p->server_tls_verify == SERVER_VERIFY_NONE) {
        problem_warn(b->problems, given_at(bp, "server_tls_verify"), "server_tls_verify: with none, whoever answers is taken for the server");
    }
    check_names(b, bp);
    if (read_all(&p->server_tls_pem, &certificate, &key, &ca, b->problems)) {
        struct tls_opts opts = conf_tls_connect(b->conf, p);
        try_context(&opts, at, b->problems);
    }
}

struct tls_opts conf_tls_connect(const struct conf *conf, const struct conf_pool *p) {
    return (struct tls_opts){
        .verify = p->server_tls_verify != SERVER_VERIFY_NONE ? TLS_VERIFY_REQUIRED : TLS_VERIFY_NONE,
        .min_version = p->server_tls_min_version,
        .check_name = p->server_tls_verify == SERVER_VERIFY_FULL,
        .certificate = p->server_tls_pem.certificate,
        .key = p->server_tls_pem.key,
        .ca = p->server_tls_pem.ca,
        .steps = (uint32_t)conf->tls_handshakes,
    };
}

bool conf_tls_same(const struct conf *c, const struct conf_pool *a, const struct conf *d, const struct conf_pool *b) {
    struct tls_opts x[] = {conf_tls_accept(c, a), conf_tls_connect(c, a)}, y[] = {conf_tls_accept(d, b), conf_tls_connect(d, b)};
    return a->server_tls == b->server_tls && tls_opts_same(&x[0], &y[0]) && tls_opts_same(&x[1], &y[1]);
}

const char *conf_tls_name(const struct conf_pool *p, const struct conf_server *s) {
    return p->server_tls_name != NULL ? p->server_tls_name : s->host != NULL ? s->host : "";
}

void tls_build(struct build *b, struct build_pool *bp) {
    build_accept(b, bp);
    build_connect(b, bp);
}

static void wipe(char **text) {
    if (*text != NULL) {
        OPENSSL_cleanse(*text, strlen(*text));
        mem_free(*text);
        *text = NULL;
    }
}

void conf_pem_fini(struct conf_pem *pem) {
    wipe(&pem->certificate); /* it may hold the key */
    wipe(&pem->key);
    wipe(&pem->ca);
}
