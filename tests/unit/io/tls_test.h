/* tls_test.h: certificates made on the spot, and the far end of a TLS connection, whose every byte the test can see, cut and hold
 * back: OpenSSL with memory on both sides, and a raw socket. */
#ifndef KVMUX_TESTS_TLS_TEST_H
#define KVMUX_TESTS_TLS_TEST_H

#include "io/io_state.h"
#include "io/tls.h"
#include "stream_test.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* ---- who signs whom ---- */

struct id {
    X509 *x;
    EVP_PKEY *key;
    char *certificate, *pem; /* PEM */
};

static inline char *pem_text(BIO *bio) {
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    char *text = mem_strndup(slice(p, (size_t)n));
    BIO_free(bio);
    return text;
}

static inline void id_extend(X509 *x, int nid, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* `names`: subjectAltName; NULL: a CA. `by` NULL: signed by itself. */
static inline struct id id_make(const char *names, const struct id *by) {
    static long serial;
    struct id id = {.x = X509_new(), .key = EVP_EC_gen("P-256")};
    X509_set_version(id.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(id.x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.x), 3600);
    X509_set_pubkey(id.x, id.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.x), "CN", MBSTRING_ASC, (const uint8_t *)(names ? names : "ca"), -1, -1, 0);
    X509_set_issuer_name(id.x, X509_get_subject_name(by != NULL ? by->x : id.x));
    id_extend(id.x, names != NULL ? NID_subject_alt_name : NID_basic_constraints, names != NULL ? names : "critical,CA:TRUE");
    assert_true(X509_sign(id.x, by != NULL ? by->key : id.key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, id.x);
    id.certificate = pem_text(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, id.key, NULL, NULL, 0, NULL, NULL);
    id.pem = pem_text(bio);
    return id;
}

static inline void id_free(struct id *id) {
    X509_free(id->x);
    EVP_PKEY_free(id->key);
    mem_free(id->certificate);
    mem_free(id->pem);
}

/* ---- what io tells ---- */

struct heard {
    unsigned n[TLS_PUT_OFF + 1];
    char words[256];
};

static inline void hear(void *owner, const struct stream *s, enum tls_news news, const char *words) {
    struct heard *h = owner;
    h->n[news]++;
    if (news == TLS_FAILED || news == TLS_TIMEDOUT) {
        snprintf(h->words, sizeof h->words, "%s", words);
    }
}

static inline struct tls_ctx *ctx_make(const struct tls_opts *o, struct heard *h) {
    enum tls_part wrong;
    char why[256] = "";
    struct tls_ctx *ctx = tls_ctx_new(o, hear, h, &wrong, why, sizeof why);
    assert_string_equal(why, "");
    return ctx;
}

/* ---- the far end ---- */

struct far {
    int fd;
    SSL *ssl;
    BIO *in, *out;
    bool fin;   /* its FIN was seen */
};

static inline void far_init(struct far *f, int fd, SSL_CTX *ctx, bool accepts) {
    *f = (struct far){.fd = fd, .ssl = SSL_new(ctx), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};
    SSL_set_bio(f->ssl, f->in, f->out);
    if (accepts) {
        SSL_set_accept_state(f->ssl);
    } else {
        SSL_set_connect_state(f->ssl);
    }
}

/* At most `n` bytes of what OpenSSL wants to say go out. Returns how many. */
static inline size_t far_push(struct far *f, size_t n) {
    char *p;
    size_t have = min_size((size_t)BIO_get_mem_data(f->out, &p), n);
    ssize_t sent = have > 0 ? send(f->fd, p, have, MSG_NOSIGNAL) : 0;
    char drop[4096];
    for (ssize_t left = sent; left > 0;) {
        left -= BIO_read(f->out, drop, left < (ssize_t)sizeof drop ? (int)left : (int)sizeof drop);
    }
    return sent > 0 ? (size_t)sent : 0;
}

static inline void far_pull(struct far *f, size_t n) {
    uint8_t bytes[65536];
    ssize_t got = recv(f->fd, bytes, min_size(n, sizeof bytes), 0);
    f->fin = f->fin || got == 0;
    if (got > 0) {
        BIO_write(f->in, bytes, (int)got);
    }
}

/* True: the handshake is through. */
static inline bool far_shake(struct far *f, size_t piece) {
    ERR_clear_error();
    bool done = SSL_do_handshake(f->ssl) == 1;
    far_push(f, piece);
    far_pull(f, piece);
    return done && BIO_pending(f->out) == 0;
}

static inline size_t far_read(struct far *f, uint8_t *to, size_t room) {
    far_pull(f, SIZE_MAX);
    int n = SSL_read(f->ssl, to, (int)room);
    ERR_clear_error();
    return n > 0 ? (size_t)n : 0;
}

static inline void far_write(struct far *f, const void *from, size_t n) {
    assert_int_equal(SSL_write(f->ssl, from, (int)n), n);
}

static inline void far_close(struct far *f) {
    SSL_set_shutdown(f->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(f->ssl);
    close(f->fd);
}

/* ---- both ends ---- */

/* A loop that listens with `near`, a client context for the far end, and what was accepted last. */
struct pair {
    struct net net;
    struct listener listener;
    struct id ca, id, other; /* other: signed by itself */
    struct heard heard;
    struct tls_ctx *near;
    SSL_CTX *far;
    struct side *next; /* becomes the accepted stream */
};

static inline void pair_on_accept(struct listener *l, int fd) {
    struct pair *p = CONTAINER_OF(l, struct pair, listener);
    stream_accept(l, fd, &p->next->stream, &side_ops, &(struct accept_opts){0});
    p->next = NULL;
}

static inline void pair_on_paused(struct listener *l, enum reason why) {
}

static const struct listener_ops pair_ops = {pair_on_accept, pair_on_paused};

static inline struct tls_opts pair_opts(struct pair *p) {
    return (struct tls_opts){.accepts = true, .certificate = p->id.certificate, .key = p->id.pem, .scope = "pair", .patience = 20000000, .steps = 100};
}

static inline void pair_init(struct pair *p, const struct tls_opts *opts) {
    *p = (struct pair){.ca = id_make(NULL, NULL)};
    net_init(&p->net, false);
    p->id = id_make("DNS:near.example,IP:127.0.0.1", &p->ca);
    p->other = id_make("DNS:near.example", NULL);
    struct tls_opts o = pair_opts(p);
    if (opts != NULL) {
        o.patience = opts->patience > 0 ? opts->patience : o.patience;
        o.steps = opts->steps > 0 ? opts->steps : o.steps;
        o.min_version = opts->min_version;
        o.verify = opts->verify;
        o.ca = opts->verify != TLS_VERIFY_NONE ? p->ca.certificate : NULL;
    }
    p->near = ctx_make(&o, &p->heard);
    p->far = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(p->far, SSL_SESS_CACHE_OFF);
    listener_start(p->net.loop, &p->listener, &pair_ops, p->net.fd);
    p->listener.tls = p->near;
}

static inline void pair_fini(struct pair *p) {
    listener_close(&p->listener);
    p->net.fd = -1;
    tls_ctx_unref(&p->near);
    SSL_CTX_free(p->far);
    id_free(&p->ca);
    id_free(&p->id);
    id_free(&p->other);
    net_fini(&p->net);
}

static inline void turns(struct pair *p, int n) {
    while (n-- > 0) {
        loop_turn(p->net.loop, 0);
    }
}

/* The end of a test of one connection. */
static inline void pair_end(struct pair *p, struct side *s, struct far *far, struct flow *f) {
    side_fini(s);
    far_close(far);
    pair_fini(p);
    if (f != NULL) {
        flow_fini(f);
    }
}

/* A connection to the listener; nothing is said yet. */
static inline void pair_connect(struct pair *p, struct side *s, const struct flow *flow, struct far *f) {
    s->flow = flow;
    p->next = s;
    far_init(f, net_raw(&p->net), p->far, false);
    UNTIL(p->net.loop, p->next == NULL);
}

#define SHAKE(p, f, piece)                                                                                                       \
    do {                                                                                                                         \
        int64_t until_ = loop_now((p)->net.loop) + DEADLINE_USEC;                                                                \
        while (!far_shake(f, piece)) {                                                                                           \
            loop_turn((p)->net.loop, 0);                                                                                         \
            assert_true(loop_now((p)->net.loop) < until_);                                                                       \
        }                                                                                                                        \
        UNTIL((p)->net.loop, (p)->heard.n[TLS_DONE] + (p)->heard.n[TLS_RESUMED] + (p)->heard.n[TLS_FAILED] > 0);                  \
    } while (0)

static inline void pair_open(struct pair *p, struct side *s, const struct flow *flow, struct far *f) {
    pair_connect(p, s, flow, f);
    p->heard = (struct heard){0};
    SHAKE(p, f, SIZE_MAX);
    assert_int_equal(p->heard.n[TLS_FAILED], 0);
}

#endif
