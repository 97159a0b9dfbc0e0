/* tls_state.h: the inside of contexts and peers, for the files of io. */
#ifndef KVMUX_IO_TLS_STATE_H
#define KVMUX_IO_TLS_STATE_H

#include "io/tls.h"

#include <openssl/ssl.h>

#define TLS_DIGEST 32

struct tls_ctx {
    uint32_t refs;
    SSL_CTX *ssl;
    tls_news_fn *news;
    void *owner;
    int64_t patience;
    uint32_t steps;
    bool accepts, check_name;
    uint8_t digest[TLS_DIGEST]; /* of everything that decides who may resume a session */
};

struct tls_peer {
    uint32_t refs;
    struct tls_ctx *ctx;
    char *name;
    void *owner;
    SSL_SESSION *session; /* NULL: none yet */
};

/* tls_ctx.c; SSL_get_app_data of a connection that we make is its peer */
void tls_peer_keep(struct tls_peer *, SSL_SESSION *); /* takes the reference; NULL: forgets */
/* What OpenSSL's queue of errors says, and empties it. Returns `to`. */
const char *tls_words(const SSL *, char *to, size_t room);

/* tls_ticket.c: makes a context's tickets good for all contexts with the same digest. */
bool tls_ticket_init(struct tls_ctx *);

#endif
