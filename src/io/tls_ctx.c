#include "base/mem.h"
#include "io/addr.h"
#include "io/tls_state.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define SESSION_LIFE_SEC 7200

const char *tls_words(const SSL *ssl, char *to, size_t room) {
    unsigned long e = ERR_peek_error();
    const char *text = e == 0 ? NULL : ERR_reason_error_string(e);
    snprintf(to, room, "%s", text != NULL ? text : e != 0 ? ERR_lib_error_string(e) : "unknown error");
    if (ssl != NULL && ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        size_t n = strlen(to);
        snprintf(to + n, room - n, ": %s", X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
    }
    ERR_clear_error();
    return to;
}

/* ---- PEM texts ---- */

/* Nobody could be asked for a passphrase. */
static int no_passphrase(char *to, int room, int writing, void *ctx) {
    return -1;
}

/* The next certificate of a text; NULL: no more, or `*broken`. */
static X509 *next_certificate(BIO *pem, bool *broken) {
    X509 *x = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
    unsigned long e = ERR_peek_last_error();
    *broken = x == NULL && !(ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
    if (x == NULL && !*broken) {
        ERR_clear_error();
    }
    return x;
}

static bool use_certificate(SSL_CTX *ctx, const char *text) {
    BIO *pem = BIO_new_mem_buf(text, -1);
    bool broken = false;
    X509 *x = next_certificate(pem, &broken);
    bool ok = x != NULL && SSL_CTX_use_certificate(ctx, x) == 1;
    if (x == NULL && !broken) {
        ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
    }
    X509_free(x);
    while (ok && (x = next_certificate(pem, &broken)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ctx, x) == 1;
        if (!ok) {
            X509_free(x);
        }
    }
    BIO_free(pem);
    return ok && !broken;
}

static bool use_key(SSL_CTX *ctx, const char *text) {
    BIO *pem = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(pem);
    return ok;
}

/* `name`: tell clients whose certificates are asked for. */
static bool use_ca(SSL_CTX *ctx, const char *text, bool name) {
    BIO *pem = BIO_new_mem_buf(text, -1);
    bool broken = false, ok = true;
    unsigned n = 0;
    X509 *x;
    while (ok && (x = next_certificate(pem, &broken)) != NULL) {
        ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1 && (!name || SSL_CTX_add_client_CA(ctx, x) == 1);
        X509_free(x);
        n++;
    }
    BIO_free(pem);
    if (n == 0 && !broken) {
        ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
    }
    return ok && !broken && n > 0;
}

bool tls_dates(const char *text, time_t *from, time_t *until) {
    BIO *pem = BIO_new_mem_buf(text, -1);
    bool broken;
    X509 *x = next_certificate(pem, &broken);
    struct tm a, b;
    bool ok = x != NULL && ASN1_TIME_to_tm(X509_get0_notBefore(x), &a) == 1 && ASN1_TIME_to_tm(X509_get0_notAfter(x), &b) == 1;
    if (ok) {
        *from = timegm(&a);
        *until = timegm(&b);
    }
    X509_free(x);
    BIO_free(pem);
    ERR_clear_error();
    return ok;
}

/* ---- contexts ---- */

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool tls_opts_same(const struct tls_opts *a, const struct tls_opts *b) {
    return a->accepts == b->accepts && a->verify == b->verify && a->min_version == b->min_version && a->check_name == b->check_name &&
           a->patience == b->patience && a->steps == b->steps && same_text(a->certificate, b->certificate) && same_text(a->key, b->key) &&
           same_text(a->ca, b->ca) && same_text(a->ciphers, b->ciphers) && same_text(a->suites, b->suites) &&
           same_text(a->scope, b->scope);
}

static void digest_add(EVP_MD_CTX *md, const char *text) {
    EVP_DigestUpdate(md, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 0);
    EVP_DigestUpdate(md, "", 1);
}

static void digest_opts(struct tls_ctx *ctx, const struct tls_opts *o) {
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const uint8_t demands[] = {(uint8_t)o->verify, (uint8_t)o->min_version};
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    EVP_DigestUpdate(md, demands, sizeof demands);
    digest_add(md, o->certificate);
    digest_add(md, o->key);
    digest_add(md, o->ca);
    digest_add(md, o->ciphers);
    digest_add(md, o->suites);
    digest_add(md, o->scope);
    EVP_DigestFinal_ex(md, ctx->digest, NULL);
    EVP_MD_CTX_free(md);
}

/* A server gave us a session. The latest one counts: servers may give several. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
    tls_peer_keep(SSL_get_app_data(ssl), session);
    return 1;
}

static void set_sessions(struct tls_ctx *ctx) {
    SSL_CTX_set_timeout(ctx->ssl, SESSION_LIFE_SEC);
    SSL_CTX_set_session_id_context(ctx->ssl, ctx->digest, TLS_DIGEST);
    if (ctx->accepts) { /* tickets only: nothing is kept here for a client that is gone */
        SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
    } else {
        SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx->ssl, on_session);
    }
}

static void set_verify(SSL_CTX *ssl, const struct tls_opts *o) {
    int mode = o->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (o->accepts && o->verify == TLS_VERIFY_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ssl, mode, NULL);
}

static enum tls_part ctx_fill(struct tls_ctx *ctx, const struct tls_opts *o) {
    SSL_CTX *ssl = ctx->ssl;
    SSL_CTX_set_min_proto_version(ssl, o->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    if (o->certificate != NULL && !use_certificate(ssl, o->certificate)) {
        return TLS_PART_CERTIFICATE;
    }
    if (o->key != NULL && !use_key(ssl, o->key)) {
        return TLS_PART_KEY;
    }
    if (o->verify != TLS_VERIFY_NONE && !(o->ca != NULL ? use_ca(ssl, o->ca, o->accepts) : SSL_CTX_set_default_verify_paths(ssl) == 1)) {
        return TLS_PART_CA;
    }
    if (o->ciphers != NULL && SSL_CTX_set_cipher_list(ssl, o->ciphers) != 1) {
        return TLS_PART_CIPHERS;
    }
    if (o->suites != NULL && SSL_CTX_set_ciphersuites(ssl, o->suites) != 1) {
        return TLS_PART_SUITES;
    }
    set_verify(ssl, o);
    set_sessions(ctx);
    ASSERT(tls_ticket_init(ctx));
    return TLS_PART_NONE;
}

struct tls_ctx *tls_ctx_new(const struct tls_opts *o, tls_news_fn *news, void *owner, enum tls_part *wrong, char *why,
                            size_t room) {
    struct tls_ctx *ctx = mem_zalloc(sizeof *ctx);
    ERR_clear_error();
    *ctx = (struct tls_ctx){
        .refs = 1,
        .ssl = SSL_CTX_new(o->accepts ? TLS_server_method() : TLS_client_method()),
        .news = news,
        .owner = owner,
        .patience = o->patience,
        .steps = o->steps > 0 ? o->steps : 1,
        .accepts = o->accepts,
        .check_name = o->check_name,
    };
    ASSERT(ctx->ssl != NULL); /* memory only, as for mem_alloc */
    digest_opts(ctx, o);
    *wrong = ctx_fill(ctx, o);
    if (*wrong != TLS_PART_NONE) {
        tls_words(NULL, why, room);
        tls_ctx_unref(&ctx);
    }
    return ctx;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx) {
    ctx->refs++;
    return ctx;
}

void tls_ctx_unref(struct tls_ctx **cp) {
    struct tls_ctx *ctx = *cp;
    *cp = NULL;
    if (ctx != NULL && --ctx->refs == 0) {
        SSL_CTX_free(ctx->ssl);
        mem_free(ctx);
    }
}

/* ---- peers ---- */

struct tls_peer *tls_peer_new(struct tls_ctx *ctx, const char *name, void *owner) {
    struct tls_peer *p = mem_zalloc(sizeof *p);
    *p = (struct tls_peer){.refs = 1, .ctx = tls_ctx_ref(ctx), .name = mem_strdup(name), .owner = owner};
    return p;
}

void tls_peer_unref(struct tls_peer **pp) {
    struct tls_peer *p = *pp;
    *pp = NULL;
    if (p != NULL && --p->refs == 0) {
        SSL_SESSION_free(p->session);
        tls_ctx_unref(&p->ctx);
        mem_free(p->name);
        mem_free(p);
    }
}

void tls_peer_keep(struct tls_peer *p, SSL_SESSION *session) {
    SSL_SESSION_free(p->session);
    p->session = session;
}
