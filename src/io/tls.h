/* tls.h: who we are and whom we believe: contexts and peers, for listener.tls and connect_opts.tls (io.h). Streams over TLS
 * behave as plain ones do: close_notify is FIN, a FIN without it as well, since whatever was cut off shows in the protocol.
 *
 * A context belongs to the thread that made it: workers share no OpenSSL object, and so no lock. They are made of texts in
 * memory, so that one can be made when the files cannot be read any more. Session tickets of contexts with equal options are
 * good for each other, in all threads (tls_ticket.c). */
#ifndef KVMUX_IO_TLS_H
#define KVMUX_IO_TLS_H

#include "base/base.h"

#include <time.h>

struct stream;

enum tls_verify {
    TLS_VERIFY_NONE,
    TLS_VERIFY_OPTIONAL, /* accepting: what a client shows must be good, but it may show nothing */
    TLS_VERIFY_REQUIRED
};
enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_opts {
    bool accepts;      /* for listeners; else for connections that we make */
    enum tls_verify verify;
    enum tls_version min_version;
    bool check_name;   /* connections that we make: the certificate must be for the peer's name */
    const char *certificate, *key; /* PEM; the chain stands behind the certificate; NULL: none */
    const char *ca;      /* PEM: whom to believe; NULL: whom the system believes */
    const char *ciphers; /* OpenSSL's list for TLS 1.2; NULL: its own */
    const char *suites;  /* the same for TLS 1.3 */
    const char *scope;   /* sessions that were agreed on elsewhere are not resumed here */
    int64_t patience;    /* usec that a handshake may take; 0: the owner has a clock of its own */
    uint32_t steps;      /* of handshakes in one turn of the loop */
};

bool tls_opts_same(const struct tls_opts *, const struct tls_opts *);

/* What happens to TLS connections, for metrics and the log. Called by io, inside loop_turn; must not close the stream. */
enum tls_news {
    TLS_DONE,     /* a handshake */
    TLS_RESUMED,  /* the same, by a session of an earlier connection */
    TLS_FAILED,   /* a handshake, or what came after it; on_error follows */
    TLS_TIMEDOUT, /* a handshake */
    TLS_PUT_OFF,  /* handshakes were left for the next turn: `steps` were taken */
};
/* `owner`: the peer's or the context's. `words`: why, in OpenSSL's words; may hold what the peer sent. */
typedef void tls_news_fn(void *owner, const struct stream *, enum tls_news, const char *words);

struct tls_ctx;
/* Which of the options is at fault. */
enum tls_part { TLS_PART_NONE, TLS_PART_CERTIFICATE, TLS_PART_KEY, TLS_PART_CA, TLS_PART_CIPHERS, TLS_PART_SUITES };
/* `opts` is copied as far as needed. NULL: `*wrong` and `why` tell. `news` may be NULL. One reference. */
struct tls_ctx *tls_ctx_new(const struct tls_opts *opts, tls_news_fn *news, void *owner, enum tls_part *wrong, char *why,
                            size_t room);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *);
void tls_ctx_unref(struct tls_ctx **); /* connections that use it keep it */

/* Somebody whom we connect to: a name, and the session that the next connection resumes. Counted, as contexts are. */
struct tls_peer;
struct tls_peer *tls_peer_new(struct tls_ctx *, const char *name, void *owner);
void tls_peer_unref(struct tls_peer **);

/* When the first certificate of a PEM text begins and ends to be valid. False: there is none. Any thread. */
bool tls_dates(const char *pem, time_t *from, time_t *until);

#endif
